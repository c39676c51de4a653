"""Serves stoop.test.Echo through grpcio at the address given, until its standard input ends."""
import sys
from concurrent import futures
import grpc


def fail(_, context):
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "as asked: 100 % \u00fc")


methods = {
    "Unary": grpc.unary_unary_rpc_method_handler(lambda message, _: message),
    "Who": grpc.unary_unary_rpc_method_handler(lambda message, _: b"grpcio"),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "Count": grpc.unary_stream_rpc_method_handler(lambda message, _: (bytes([byte]) for byte in message)),
    "Join": grpc.stream_unary_rpc_method_handler(lambda messages, _: b"".join(messages)),
    "Chat": grpc.stream_stream_rpc_method_handler(lambda messages, _: messages),
}
server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("stoop.test.Echo", methods)])
assert server.add_insecure_port(sys.argv[1])
server.start()
print("serving", flush=True)
sys.stdin.read()
server.stop(grace=5).wait()
