// What all apps of this folder have in common. They run as PM2 users have them: each has a port of its own in its code, and
// PORT means nothing to it. (For tests that port comes from APP_PORT, because any number written here could be taken.)
'use strict';

const fs = require('node:fs');

const ledger = process.env.LEDGER ? fs.openSync(process.env.LEDGER, 'a') : null;

exports.port = Number(process.env.APP_PORT);
exports.whoami = (app) => ({ app, pid: process.pid, instance: process.env.NODE_APP_INSTANCE });

exports.order = (id, bytes) => {
  if (ledger !== null) fs.writeSync(ledger, `${id}\n`);
  return { id, bytes };
};

// The routes as a plain listener of node:http.
exports.routes = (app) => (request, response) => {
  const url = new URL(request.url, 'http://localhost');
  const json = (value) => {
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify(value));
  };
  if (url.pathname === '/whoami') return json(exports.whoami(app));
  if (url.pathname === '/once' && request.method === 'POST') {
    let bytes = 0;
    request.on('data', (chunk) => (bytes += chunk.length));
    return request.on('end', () => json(exports.order(url.searchParams.get('id'), bytes)));
  }
  response.statusCode = 404;
  return response.end();
};

// An app shares its metrics with whoever asks on another port.
exports.metrics = (app) => {
  const port = Number(process.env.METRICS_PORT);
  if (!port) return;
  require('node:http').createServer(exports.routes(app)).listen(port);
};
