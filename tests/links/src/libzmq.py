"""Raw messages by libzmq: `libzmq.py receive` prints where, then how long it took; `libzmq.py send ADDRESS COUNT SIZE`.

The receiver reads the number of messages from its input, and counts from the first to the last.
"""

import sys
import time

import zmq

context = zmq.Context()
if sys.argv[1] == "receive":
    socket = context.socket(zmq.ROUTER)
    socket.bind("tcp://127.0.0.1:*")
    print(socket.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode().removeprefix("tcp://"), flush=True)
    count = int(sys.stdin.readline())
    socket.recv_multipart(copy=False)
    begun = time.perf_counter()
    for _ in range(count - 1):
        socket.recv_multipart(copy=False)
    print(time.perf_counter() - begun, flush=True)
else:
    address, count, size = sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    socket = context.socket(zmq.DEALER)
    socket.connect("tcp://" + address)
    payload = bytes(size)
    copy = size < 1024
    for _ in range(count):
        socket.send(payload, copy=copy)
    # Whoever has heard it all says so by closing our input.
    sys.stdin.read()
