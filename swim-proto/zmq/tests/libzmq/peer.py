"""A DEALER or ROUTER of libzmq, for mod.rs beside it.

    peer.py dealer|router connect|bind ADDRESS [OPTION=VALUE ...]

It says `at ADDRESS`, then reads commands and prints what it receives, messages as parts in hex with commas between:

    send HEX,HEX,...        ->
                            <-  got HEX,HEX,...

OPTION is the name of a socket option of pyzmq; a VALUE that is not a number is a text. It ends with its input.
"""

import os
import sys

import zmq

kind, way, address, *options = sys.argv[1:]
context = zmq.Context()
socket = context.socket(zmq.DEALER if kind == "dealer" else zmq.ROUTER)
socket.setsockopt(zmq.LINGER, 0)
for option in options:
    name, value = option.split("=", 1)
    socket.setsockopt(getattr(zmq, name), int(value) if value.lstrip("-").isdigit() else value.encode())
getattr(socket, way)(address)


def say(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


say("at " + socket.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode())

poller = zmq.Poller()
poller.register(socket, zmq.POLLIN)
poller.register(sys.stdin.fileno(), zmq.POLLIN)
unread = bytearray()
while True:
    ready = dict(poller.poll())
    if sys.stdin.fileno() in ready:
        chunk = os.read(sys.stdin.fileno(), 1 << 20)
        if not chunk:
            break
        unread += chunk
        while (end := unread.find(b"\n")) >= 0:
            line = unread[:end].decode()
            del unread[: end + 1]
            command, _, rest = line.partition(" ")
            assert command == "send", line
            socket.send_multipart([bytes.fromhex(part) for part in rest.split(",")])
    if socket in ready:
        say("got " + ",".join(part.hex() for part in socket.recv_multipart()))
