// The app of those contenders that replace workers: plain node:http, with what the guides of PM2 ask of an app that is
// reloaded. It answers GET /small with 1 KiB and writes down each order that it was sent.
'use strict';

const fs = require('fs');
const http = require('http');
const path = require('path');

// What was deployed: read once, as code is.
const GEN = fs.readFileSync(path.join(__dirname, 'gen'), 'utf8').trim();
const SMALL = 'a'.repeat(1024);
const orders = fs.openSync(path.join(__dirname, 'orders'), 'a');

const server = http.createServer((request, response) => {
  response.setHeader('X-Gen', GEN);
  if (request.method !== 'POST') return response.end(SMALL);
  request.resume().on('end', () => {
    fs.writeSync(orders, request.url + '\n');
    response.end('taken');
  });
});

server.listen(process.env.PORT, '127.0.0.1', () => process.send && process.send('ready'));

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => server.close(() => process.exit(0)));
}
