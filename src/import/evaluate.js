'use strict';
// Says on standard output, as JSON, what the configuration file named by the first argument means; all else that
// is printed meanwhile goes to standard error.
const fs = require('fs');
const { pathToFileURL } = require('url');
const file = process.argv[2];
Object.defineProperty(process, 'stdout', { get: () => process.stderr });
globalThis.console = new console.Console(process.stderr, process.stderr);

function tell(value) {
  const text = Buffer.from(JSON.stringify(value, (_, item) => (typeof item === 'bigint' ? String(item) : item)) ?? 'null');
  for (let at = 0; at < text.length; ) {
    try {
      at += fs.writeSync(1, text, at);
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
    }
  }
}

async function load() {
  try {
    return await import(pathToFileURL(file));
  } catch (error) {
    // A module in a file that says it is none: older engines do not find out by themselves.
    const isModule = error instanceof SyntaxError && /\bexport\b|\bimport\b/.test(error.message);
    if (!isModule) throw error;
    return import('data:text/javascript,' + encodeURIComponent(fs.readFileSync(file, 'utf8')));
  }
}

(async () => {
  const loaded = await load();
  let meant = 'default' in loaded ? loaded.default : { ...loaded };
  if (meant && meant.__esModule && meant.default) meant = meant.default;
  if (typeof meant === 'function') meant = meant();
  tell(await meant);
  process.exit(0);
})().catch((error) => {
  process.stderr.write(String((error && error.stack) || error) + '\n', () => process.exit(1));
});
