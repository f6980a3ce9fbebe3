// The official SDK for TypeScript, of the folder in argv[3].
const { createRequire } = require("node:module");
const { join } = require("node:path");

const given = JSON.parse(process.argv[2]);
const from = createRequire(join(process.argv[3], "package.json"));
const { Client } = from("@modelcontextprotocol/sdk/client/index.js");
const { StreamableHTTPClientTransport } = from("@modelcontextprotocol/sdk/client/streamableHttp.js");
const { version } = from("./node_modules/@modelcontextprotocol/sdk/package.json");

async function speak(key) {
  const client = new Client({ name: "tests", version: "1" });
  await client.connect(
    new StreamableHTTPClientTransport(new URL(given.url), {
      requestInit: { headers: { Authorization: `Bearer ${key}` } },
    }),
  );
  const { tools } = await client.listTools();
  const results = [];
  for (const { tool, arguments: args } of given.calls) {
    const result = await client.callTool({ name: tool, arguments: args });
    results.push(result.isError ? result.content[0].text : result.structuredContent);
  }
  await client.close();
  return { tools: tools.map((tool) => tool.name), results };
}

async function main() {
  const heard = await speak(given.key);
  const begun = Date.now();
  const refusal = await speak(given.wrong_key).then(() => "", String);
  const seconds = (Date.now() - begun) / 1000;
  console.log(JSON.stringify({ version, ...heard, refusal, seconds }));
}

main();
