"""Calls every kind of method of stoop.test.Echo through grpcio, gRPC's C core. Messages are the bytes they are."""
import sys
import grpc

target, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1
options = [("grpc.default_authority", sys.argv[3])] if len(sys.argv) > 3 else []
name = "/stoop.test.Echo/"
with grpc.insecure_channel(target, options=options) as channel:
    for n in range(rounds):
        # Different metadata each time, some of it repeated, so that the table of the compression is used and overflows.
        metadata = [("x-round", str(n)), ("x-long", "%d" % (n % 7) * 200), ("x-bin", bytes([n % 256]))]
        metadata[2] = ("x-some-bin", bytes([n % 256, 0, 255]))
        call = dict(timeout=20, metadata=metadata)
        assert channel.unary_unary(name + "Unary")(b"hello", **call) == b"hello"
        assert list(channel.unary_stream(name + "Count")(b"abc", **call)) == [b"a", b"b", b"c"]
        assert channel.stream_unary(name + "Join")(iter([b"a", b"bc", b""]), **call) == b"abc"
        assert list(channel.stream_stream(name + "Chat")(iter([b"one", b"two"]), **call)) == [b"one", b"two"]
        large = b"x" * 300_000
        assert channel.unary_unary(name + "Unary")(large, **call) == large
        try:
            channel.unary_unary(name + "Fail")(b"", **call)
            raise SystemExit("that was to fail")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.FAILED_PRECONDITION, error
            assert error.details() == "as asked: 100 % \u00fc", error
    print(channel.unary_unary(name + "Who")(b"", timeout=20).decode())
