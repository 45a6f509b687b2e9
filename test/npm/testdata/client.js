// Calls and streams helloworld with the clients that M3O has published, and prints what
// they got: node client.js <address> <key>
const { Client } = require("@m3o/m3o-node");
const { HelloworldService } = require("m3o/helloworld");

const [address, token] = process.argv.slice(2);

function all(stream) {
  return new Promise((resolve, reject) => {
    const messages = [];
    stream.onMessage((message) => messages.push(message));
    stream.onError(reject);
    stream.onClose(() => resolve(messages));
  });
}

async function main() {
  const client = new Client({ token, address });
  const service = new HelloworldService(token);
  service.client.options.address = address; // it has no parameter for it
  const request = { name: "John", messages: 3 };
  const stranger = new Client({ token: "nonsense", address });
  console.log(JSON.stringify({
    call: await client.call("helloworld", "Call", request),
    stream: await all(await client.stream("helloworld", "Stream", request)),
    serviceCall: await service.call(request),
    serviceStream: await all(await service.stream(request)),
    refused: await stranger.call("helloworld", "Call", request).then(() => null, (problem) => problem.detail),
    failed: (await all(await client.stream("helloworld", "Stream", { messages: -1 }))).map((problem) => problem.code),
  }));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
