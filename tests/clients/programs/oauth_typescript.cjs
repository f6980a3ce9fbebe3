// The official client for TypeScript, of the folder in argv[3], which connects by OAuth. It does
// what each line of standard input says, and answers with a line of JSON. Where a person has to
// approve, it prints {"authorize": address} first and waits at its loopback address.
const { createServer } = require("node:http");
const { createInterface } = require("node:readline");
const { createRequire } = require("node:module");
const { join } = require("node:path");
const { randomUUID } = require("node:crypto");

const given = JSON.parse(process.argv[2]);
const from = createRequire(join(process.argv[3], "package.json"));
const { Client, StreamableHTTPClientTransport, UnauthorizedError } = from(
  "@modelcontextprotocol/client",
);

const tell = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

// ------------------------------------------------------------------ where the answer arrives

let arrived = null;
const listener = createServer((request, response) => {
  response.end("You can close this page.");
  const said = new URL(request.url, "http://127.0.0.1").searchParams;
  if (said.has("state")) arrived?.(said); // a browser asks for an icon, too
});
const nextAnswer = () => new Promise((resolve) => (arrived = resolve));

class Provider {
  constructor(redirectUrl) {
    this.redirectUrl = redirectUrl;
    this.clientMetadata = {
      client_name: "TypeScript tests",
      redirect_uris: [redirectUrl],
      grant_types: ["authorization_code", "refresh_token"],
      response_types: ["code"],
      token_endpoint_auth_method: given.method ?? "none",
    };
    this.saved = {};
  }
  state() {
    this.saved.state = randomUUID();
    return this.saved.state;
  }
  clientInformation = () => this.saved.client;
  saveClientInformation = (client) => void (this.saved.client = client);
  tokens = () => this.saved.tokens;
  saveTokens = (tokens) => void (this.saved.tokens = tokens);
  codeVerifier = () => this.saved.verifier;
  saveCodeVerifier = (verifier) => void (this.saved.verifier = verifier);
  discoveryState = () => this.saved.discovery;
  saveDiscoveryState = (state) => void (this.saved.discovery = state);
  invalidateCredentials(what) {
    if (what === "all" || what === "tokens") delete this.saved.tokens;
    if (what === "all" || what === "client") delete this.saved.client;
  }
  redirectToAuthorization(address) {
    this.answer = nextAnswer();
    tell({ authorize: address.href });
  }
}

// ------------------------------------------------------------------ what it does

let provider, client, transport;

const wantsApproval = (error) =>
  error instanceof UnauthorizedError || (error?.cause && wantsApproval(error.cause));

async function connect() {
  client = new Client(
    { name: "typescript-tests", version: "1" },
    { versionNegotiation: { mode: given.mode } },
  );
  transport = new StreamableHTTPClientTransport(new URL(given.url), { authProvider: provider });
  await client.connect(transport);
  return { revision: client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion };
}

// Does it again once the person has approved.
async function approved(act) {
  try {
    return await act();
  } catch (error) {
    if (!wantsApproval(error) || !provider.answer) throw error;
    const answer = await provider.answer;
    provider.answer = null;
    if (answer.get("state") !== provider.saved.state) throw new Error("another state");
    await transport.finishAuth(answer);
    return await act();
  }
}

const acts = {
  connect: () => approved(connect),
  list: async () => ({ tools: (await client.listTools()).tools.map((tool) => tool.name) }),
  call: ({ tool, arguments: args }) =>
    approved(async () => {
      const result = await client.callTool({ name: tool, arguments: args });
      return { isError: result.isError ?? false, text: result.content[0].text };
    }),
  // as if the hour of the access token were over
  expire: () => {
    provider.saved.tokens.access_token = `oda_${"x".repeat(43)}`;
    return {};
  },
  saved: () => provider.saved,
};

async function main() {
  await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
  provider = new Provider(`http://127.0.0.1:${listener.address().port}/callback`);
  for await (const line of createInterface({ input: process.stdin })) {
    const { act, ...options } = JSON.parse(line);
    try {
      tell({ done: await acts[act](options) });
    } catch (error) {
      tell({ failed: `${error?.name}: ${error?.message}`, unauthorized: wantsApproval(error) });
    }
  }
  process.exit(0);
}

process.on("unhandledRejection", (error) => console.error(error)); // an act has failed by then
main();
