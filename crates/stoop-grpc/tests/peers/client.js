// Calls every kind of method of stoop.test.Echo through @grpc/grpc-js. Messages are the bytes they are.
const assert = require("assert");
const grpc = require("@grpc/grpc-js");

const bytes = { requestSerialize: (b) => b, requestDeserialize: (b) => b, responseSerialize: (b) => b, responseDeserialize: (b) => b };
const method = (name, requestStream, responseStream) => ({ path: "/stoop.test.Echo/" + name, requestStream, responseStream, ...bytes });
const Echo = grpc.makeGenericClientConstructor({
  Unary: method("Unary", false, false), Fail: method("Fail", false, false), Who: method("Who", false, false),
  Count: method("Count", false, true), Join: method("Join", true, false), Chat: method("Chat", true, true),
}, "stoop.test.Echo");

const client = new Echo(process.argv[2], grpc.credentials.createInsecure());
const deadline = () => ({ deadline: Date.now() + 20000 });
const unary = (name, message) => new Promise((resolve, reject) =>
  client[name](message, deadline(), (error, answer) => (error ? reject(error) : resolve(answer.toString()))));
const collect = async (stream) => { const all = []; for await (const message of stream) all.push(message.toString()); return all; };

(async () => {
  assert.strictEqual(await unary("Unary", Buffer.from("hello")), "hello");
  assert.deepStrictEqual(await collect(client.Count(Buffer.from("abc"), deadline())), ["a", "b", "c"]);
  assert.strictEqual(await new Promise((resolve, reject) => {
    const call = client.Join(deadline(), (error, answer) => (error ? reject(error) : resolve(answer.toString())));
    for (const part of ["a", "bc", ""]) call.write(Buffer.from(part));
    call.end();
  }), "abc");
  const chat = client.Chat(deadline());
  chat.write(Buffer.from("one"));
  chat.write(Buffer.from("two"));
  chat.end();
  assert.deepStrictEqual(await collect(chat), ["one", "two"]);
  await assert.rejects(unary("Fail", Buffer.from("")), (error) => error.code === grpc.status.FAILED_PRECONDITION);
  console.log(await unary("Who", Buffer.from("")));
  client.close();
})().catch((error) => { console.error(error); process.exit(1); });
