// Unpacks the browser and the libraries that it needs beside the C library into TMPDIR.
import { fileURLToPath } from "node:url";
import chromium, { inflate } from "@sparticuz/chromium";

await chromium.executablePath();
await inflate(fileURLToPath(new URL("./node_modules/@sparticuz/chromium/bin/al2023.tar.br", import.meta.url)));
