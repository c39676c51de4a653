"""Serves stoop.test.Echo through grpc.aio at the address given, until it is killed."""
import asyncio
import sys
import grpc


async def same(message, _):
    return message


async def fail(_, context):
    await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "as asked: 100 % \u00fc")


async def count(message, _):
    for byte in message:
        yield bytes([byte])


async def join(messages, _):
    return b"".join([message async for message in messages])


async def chat(messages, _):
    async for message in messages:
        yield message


methods = {
    "Unary": grpc.unary_unary_rpc_method_handler(same),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "Count": grpc.unary_stream_rpc_method_handler(count),
    "Join": grpc.stream_unary_rpc_method_handler(join),
    "Chat": grpc.stream_stream_rpc_method_handler(chat),
}


async def main():
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("stoop.test.Echo", methods)])
    assert server.add_insecure_port(sys.argv[1])
    await server.start()
    print("serving", flush=True)
    await server.wait_for_termination()


asyncio.run(main())
