// MCP Inspector from the command line: one process a question. argv[3] is its folder.
const { execFile } = require("node:child_process");
const { join } = require("node:path");

const given = JSON.parse(process.argv[2]);
const folder = join(process.argv[3], "node_modules", "@modelcontextprotocol", "inspector");
const { version, bin } = require(join(folder, "package.json"));

function inspect(key, ...words) {
  const address = [given.url, "--transport", "http", "--header", `Authorization: Bearer ${key}`];
  const command = [join(folder, bin["mcp-inspector"]), "--cli", ...address, ...words];
  return new Promise((resolve) => {
    execFile(process.execPath, [...command, "--stored-auth-only"], (error, stdout, stderr) =>
      resolve({ stdout, stderr, code: error ? error.code : 0 }),
    );
  });
}

async function call({ tool, arguments: args }) {
  const words = ["--method", "tools/call", "--tool-name", tool];
  const { stdout } = await inspect(given.key, ...words, "--tool-args-json", JSON.stringify(args));
  const result = JSON.parse(stdout);
  return result.isError ? result.content[0].text : result.structuredContent;
}

async function main() {
  // The calls are in their order, as the second changes what the first reads.
  const listed = await inspect(given.key, "--method", "tools/list", "--strict");
  const results = [];
  for (const one of given.calls) results.push(await call(one));
  const begun = Date.now();
  const refused = await inspect(given.wrong_key, "--method", "tools/list");
  console.log(
    JSON.stringify({
      version,
      tools: JSON.parse(listed.stdout).tools.map((tool) => tool.name),
      schemas: listed.code ? listed.stderr : "",
      results,
      refusal: refused.code ? refused.stdout + refused.stderr : "",
      seconds: (Date.now() - begun) / 1000,
    }),
  );
}

main();
