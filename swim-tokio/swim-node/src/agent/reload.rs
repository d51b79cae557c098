//! SIGHUP: the configuration is read again. Tags are changed at once; whatever else differs waits for a restart.

use std::sync::Arc;

use tokio::sync::mpsc;
use tracing::{error, info, warn};

use crate::cli::AgentArgs;
use crate::config::AgentConfig;
use crate::driver::Handle;
use crate::tags;

/// Asks for the configuration to be read again.
pub(super) struct Reload {
    wishes: mpsc::Sender<()>,
}

impl Reload {
    /// Serves wishes for as long as the runtime runs. `config` is what the node was started with.
    pub(super) fn start(node: Handle, args: AgentArgs, config: AgentConfig) -> Reload {
        let (wishes, mut wished) = mpsc::channel(1);
        let reader = async move {
            let args = Arc::new(args);
            while wished.recv().await.is_some() {
                reload(&node, &args, &config).await;
            }
        };
        tokio::spawn(reader);
        Reload { wishes }
    }

    /// As soon as can be.
    pub(super) fn wish(&self) {
        // Where one waits already, the file will be read after now.
        let _ = self.wishes.try_send(());
    }
}

async fn reload(node: &Handle, args: &Arc<AgentArgs>, config: &AgentConfig) {
    let Some(path) = crate::config_file(args) else {
        info!("SIGHUP: there is no configuration file to be read again; nothing changes");
        return;
    };
    // A file may lie on a disk that hangs; the protocol does not wait for it.
    let args = args.clone();
    let read = tokio::task::spawn_blocking(move || crate::configure(&args)).await;
    let new = match read {
        Ok(Ok((new, _))) => new,
        Ok(Err(problems)) => {
            for problem in problems {
                error!(problem, "SIGHUP: the configuration has a mistake; nothing changes");
            }
            return;
        }
        Err(error) => return error!(%error, "SIGHUP: the configuration could not be read; nothing changes"),
    };
    let fixed = config.differences(&new);
    if !fixed.is_empty() {
        let settings = fixed.join(", ");
        warn!(settings, "SIGHUP: these differ from what this agent runs with; a restart would change them");
    }
    // By what the member says now: a command may have changed it since.
    let Ok(local) = node.local().await else { return };
    if new.metadata == local.metadata {
        return info!(file = %path.display(), "SIGHUP: read again; the tags are as they were");
    }
    match node.set_metadata(new.metadata.clone()).await {
        Ok(()) => {
            let tags = tags::decode(&new.metadata).unwrap_or_default();
            info!(file = %path.display(), ?tags, "SIGHUP: read again; the tags were changed");
        }
        Err(error) => error!(%error, "SIGHUP: the tags could not be changed"),
    }
}
