"""Calls Mark from 64 threads without pause through grpcio until standard input ends: steady.py TARGET TAG [patient].

Prints "calling" when every thread has had an answer; at the end "report", how many were answered, and each call that failed, with its
code. Patient calls wait for a server that is not there.
"""
import sys
import threading
import grpc

target, tag, patient = sys.argv[1], sys.argv[2], sys.argv[3:] == ["patient"]
stop, begun, failed, answered = threading.Event(), threading.Barrier(65), [], []


def call(mark, nth):
    count = 0
    while not stop.is_set():
        word = b"%s-%d-%d" % (tag.encode(), nth, count)
        try:
            assert mark(word, timeout=30, wait_for_ready=patient) == word
            count += 1
        except grpc.RpcError as error:
            failed.append(f"{word.decode()}:{error.code().name}")
            count += 1
        if count == 1:
            begun.wait()
    answered.append(count)


with grpc.insecure_channel(target, options=[("grpc.initial_reconnect_backoff_ms", 50)]) as channel:
    mark = channel.unary_unary("/stoop.test.Echo/Mark")
    threads = [threading.Thread(target=call, args=(mark, nth)) for nth in range(64)]
    for thread in threads:
        thread.start()
    begun.wait()
    print("calling", flush=True)
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()
print("report", sum(answered) - len(failed), *failed)
