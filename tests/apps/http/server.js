// The acceptance app without a framework: plain node:http as a PM2 user has it. It knows nothing of portreeve.
'use strict';

const fs = require('fs');
const http = require('http');

const VERSION = 1;

// The "database": one line an order, appended at once.
const database = {
  file: process.env.LEDGER ? fs.openSync(process.env.LEDGER, 'a') : null,
  insert(id) {
    if (this.file !== null) fs.writeSync(this.file, `${id}\n`);
  },
  close(done) {
    if (this.file === null) return done();
    fs.close(this.file, done);
  },
};

function json(response, status, value) {
  response.writeHead(status, { 'Content-Type': 'application/json', 'App-Version': String(VERSION) });
  response.end(JSON.stringify(value));
}

function order(request, response, id) {
  let bytes = 0;
  request.on('data', (chunk) => (bytes += chunk.length));
  request.on('end', () => {
    database.insert(id);
    json(response, 200, { id, bytes });
  });
}

const server = http.createServer((request, response) => {
  const url = new URL(request.url, 'http://localhost');
  if (url.pathname === '/health') return response.end('ok');
  if (url.pathname === '/whoami') {
    const instance = process.env.NODE_APP_INSTANCE;
    return json(response, 200, { app: 'http', version: VERSION, pid: process.pid, instance });
  }
  if (url.pathname === '/once' && request.method === 'POST') return order(request, response, url.searchParams.get('id'));
  return json(response, 404, { error: 'not found' });
});

server.listen(process.env.PORT || 3000, () => {
  console.log(`version ${VERSION} listening on ${server.address().port}`);
  if (process.send) process.send('ready');
});

let stopping = false;
function shutdown() {
  if (stopping) return;
  stopping = true;
  server.close(() => database.close(() => process.exit(0)));
}

process.on('SIGTERM', shutdown);
process.on('SIGINT', shutdown);
process.on('message', (message) => message === 'shutdown' && shutdown());
