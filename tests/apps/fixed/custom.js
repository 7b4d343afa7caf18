// A custom server as Next.js shows it: what it serves is prepared first, and then there is a listener.
'use strict';

const { createServer } = require('node:http');
const { parse } = require('node:url');
const { metrics, port, routes } = require('./orders');

const next = () => ({
  prepare: () => new Promise((resolve) => setTimeout(resolve, 50)),
  getRequestHandler: () => routes('custom'),
});

const app = next({ dev: false, hostname: 'localhost', port });
const handle = app.getRequestHandler();

app.prepare().then(() => {
  createServer(async (request, response) => handle(request, response, parse(request.url, true)))
    .once('error', (error) => {
      console.error(error);
      process.exit(1);
    })
    .listen(port, () => console.log('> Ready'));
  metrics('custom');
});
