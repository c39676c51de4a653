"""The other side of a test, written with nothing but Python's socket module.

    peer.py echo KIND PLACE [DELAY]     serve: each client's bytes or messages come back; on a stream or seqpacket after its
                                        end and DELAY seconds, when DELAY is given
    peer.py sink KIND PLACE             serve one client (or datagrams up to an empty one) and write it all to stdout
    peer.py send KIND PLACE COUNT       stdin's lines as messages (a stream: all bytes); write COUNT replies to stdout, on
                                        a stream everything until the end
    peer.py reset KIND PLACE            connect, send garbage, and leave with a reset

KIND is stream, dgram or seqpacket. PLACE is a path or @name. A stdin of lines keeps each line's newline in its message.
"""

import os
import socket
import struct
import sys
import threading
import time

KINDS = {
    "stream": socket.SOCK_STREAM,
    "dgram": socket.SOCK_DGRAM,
    "seqpacket": socket.SOCK_SEQPACKET,
}
LARGEST = 1 << 22


def place(text):
    return "\0" + text[1:] if text.startswith("@") else text


def write(data):
    while data:
        data = data[os.write(1, data):]


def bound(kind, where):
    server = socket.socket(socket.AF_UNIX, KINDS[kind])
    server.bind(place(where))
    if kind != "dgram":
        server.listen(64)
    return server


def pieces(client):
    while piece := client.recv(LARGEST):
        yield piece


def answer(client, delay):
    with client:
        if delay is None:
            for piece in pieces(client):
                client.sendall(piece)
        else:
            heard = list(pieces(client))
            time.sleep(delay)
            for piece in heard:
                client.sendall(piece)


def echo(kind, where, delay=None):
    server = bound(kind, where)
    delay = None if delay is None else float(delay)
    while kind == "dgram":
        message, sender = server.recvfrom(LARGEST)
        if sender:
            server.sendto(message, sender)
    while True:
        client, _ = server.accept()
        threading.Thread(target=answer, args=(client, delay), daemon=True).start()


def sink(kind, where):
    server = bound(kind, where)
    if kind != "dgram":
        server, _ = server.accept()
    for piece in pieces(server):
        write(piece)


def send(kind, where, count):
    client = socket.socket(socket.AF_UNIX, KINDS[kind])
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LARGEST)
    if kind == "dgram":
        client.bind("")  # autobind, so that there is somebody to answer
    client.connect(place(where))
    if kind == "stream":
        reader = threading.Thread(target=lambda: [write(piece) for piece in pieces(client)])
        reader.start()
        client.sendall(sys.stdin.buffer.read())
        client.shutdown(socket.SHUT_WR)
        reader.join()
        return
    for line in sys.stdin.buffer:
        client.send(line)
    for _ in range(int(count)):
        write(client.recv(LARGEST))


def reset(kind, where):
    client = socket.socket(socket.AF_UNIX, KINDS[kind])
    client.connect(place(where))
    client.send(b"\x1b[31m\0\xff" * 100)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # What comes back is left unread: closing then resets the connection.
    os._exit(0)


if __name__ == "__main__":
    {"echo": echo, "sink": sink, "send": send, "reset": reset}[sys.argv[1]](*sys.argv[2:])
