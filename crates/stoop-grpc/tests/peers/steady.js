// Calls Mark 64 times at once without pause through @grpc/grpc-js until standard input ends: steady.js TARGET TAG [patient].
// Prints "calling" when each has had an answer; at the end "report", how many were answered, and each call that
// failed, with its code.
const grpc = require("@grpc/grpc-js");

const [target, tag, patient] = process.argv.slice(2);
const same = (bytes) => bytes;
const Echo = grpc.makeGenericClientConstructor({
  Mark: { path: "/stoop.test.Echo/Mark", requestStream: false, responseStream: false,
    requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same },
}, "stoop.test.Echo");
const client = new Echo(target, grpc.credentials.createInsecure(), { "grpc.initial_reconnect_backoff_ms": 100 });

let stop = false, begun = 0, answered = 0;
const failed = [];
const metadata = new grpc.Metadata({ waitForReady: patient === "patient" });
const mark = (word) => new Promise((resolve) =>
  client.Mark(Buffer.from(word), metadata, { deadline: Date.now() + 30000 }, (error) => {
    if (error) failed.push(`${word}:${grpc.status[error.code]}`);
    else answered += 1;
    resolve();
  }));
const caller = async (nth) => {
  for (let count = 0; !stop; count += 1) {
    await mark(`${tag}-${nth}-${count}`);
    if (count === 0 && (begun += 1) === 64) console.log("calling");
  }
};
process.stdin.resume();
process.stdin.on("end", () => { stop = true; });
Promise.all(Array.from({ length: 64 }, (_, nth) => caller(nth))).then(() => {
  console.log("report", answered, ...failed);
  client.close();
});
