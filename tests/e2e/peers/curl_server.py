"""A web server for the comparison of curl with stoop: echoes requests, redirects, compresses, fails.

Usage: curl_server.py SOCKET
"""

import gzip
import subprocess
import json
import os
import socket
import sys
import threading
import zlib

FLAKY = {}


def response(status, body=b"", *headers):
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def echo(method, target, headers, body):
    """What was asked, without what differs for good reasons."""
    told = {"method": method, "target": target, "body": body.decode("latin-1")}
    for name in ["authorization", "cookie", "referer", "range", "content-type", "x-one", "x-two", "accept", "host",
                 "expect"]:
        if name in headers:
            told[name] = headers[name]
    kind = told.get("content-type", "")
    if "boundary=" in kind:
        boundary = kind.split("boundary=")[1]
        told["body"] = told["body"].replace(boundary, "BOUNDARY")
        told["content-type"] = kind.replace(boundary, "BOUNDARY")
    return json.dumps(told, sort_keys=True).encode() + b"\n"


def answer(method, target, headers, body):
    path, _, query = target.partition("?")
    if path.startswith("/echo"):
        return response("200 OK", echo(method, target, headers, body), "X-Seen: yes")
    if path.startswith("/status/"):
        return response(f"{path.split('/')[2]} My own reason", b"the body\n")
    if path.startswith("/redirect/"):
        code, _, to = path[len("/redirect/"):].partition("/")
        return response(f"{code} Elsewhere", b"not here\n", f"Location: {query or '/echo/' + to}")
    if path == "/loop":
        return response("302 Found", b"", "Location: /loop")
    if path in ("/gzip", "/deflate", "/raw-deflate"):
        text = b"compressed " * 1000 + b"\n"
        raw = zlib.compressobj(wbits=-15)
        encoded = {"/gzip": gzip.compress(text, mtime=0), "/deflate": zlib.compress(text),
                   "/raw-deflate": raw.compress(text) + raw.flush()}[path]
        if "accept-encoding" not in headers:
            return response("200 OK", text)
        kind = "gzip" if path == "/gzip" else "deflate"
        return response("200 OK", encoded, f"Content-Encoding: {kind}")
    if path.startswith("/zstd"):
        frame = subprocess.run(["zstd", "-q", "-c"], input=b"compressed " * 1000, stdout=subprocess.PIPE).stdout
        frame = {"/zstd": frame, "/zstd-frames": frame + b"\x50\x2a\x4d\x18\1\0\0\0x" + frame,
                 "/zstd-cut": frame[:-9], "/zstd-wrong": frame[:-1] + b"x"}[path]
        return response("200 OK", frame, "Content-Encoding: zstd")
    if path == "/large":
        return response("200 OK", bytes(range(256)) * 1000)
    if path == "/odd":
        return (b"HTTP/1.1 200 Fine\r\nX-Fold: one\r\n two\r\nx-CASE: Kept\r\nX-Space : b\r\n"
                b"Content-Length: 3\r\n\r\nodd")
    if path == "/many":
        return b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(200)) + b"Content-Length: 4\r\n\r\nmany"
    if path == "/interim":
        return b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + response("200 OK", b"late\n")
    if path.startswith("/flaky/"):
        count = FLAKY[target] = FLAKY.get(target, 0) + 1
        return response("503 Busy", b"busy\n") if count % 3 else response("200 OK", b"at last\n")
    if path == "/chunked":
        return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n4\r\ntwo\n\r\n0\r\n\r\n"
    if path == "/no-length":
        return b"HTTP/1.0 200 OK\r\n\r\nup to the end"
    if path == "/cut":
        return b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"
    if path == "/empty":
        return b""
    if path == "/not-http":
        return b"220 mail ready\r\n"
    return response("404 Not Found", b"nothing\n")


def serve(connection):
    with connection, connection.makefile("rb") as reads:
        while True:
            line = reads.readline().decode("latin-1").rstrip("\r\n")
            if not line:
                return
            method, target, _ = line.split(" ", 2)
            headers = {}
            while line := reads.readline().decode("latin-1").rstrip("\r\n"):
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            if headers.pop("expect", None):
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            if headers.get("transfer-encoding") == "chunked":
                body = b""
                while size := int(reads.readline(), 16):
                    body += reads.read(size)
                    reads.readline()
                reads.readline()
            else:
                body = reads.read(int(headers.get("content-length", 0)))
            if target == "/hang":
                threading.Event().wait()
            told = answer(method, target, headers, body)
            if method == "HEAD":
                told = told.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
            connection.sendall(told)
            return


def main():
    server = socket.socket(socket.AF_UNIX)
    server.bind(sys.argv[1])
    server.listen(64)
    while True:
        connection, _ = server.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    os.environ["PYTHONUNBUFFERED"] = "1"
    main()
