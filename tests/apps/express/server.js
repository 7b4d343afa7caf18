// The acceptance app: an Express server as a PM2 user has it. It knows nothing of portreeve.
'use strict';

const express = require('express');
const fs = require('fs');

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

const app = express();
app.disable('x-powered-by');
app.use((request, response, next) => {
  response.set('App-Version', String(VERSION));
  next();
});

app.get('/health', (request, response) => response.send('ok'));

app.get('/whoami', (request, response) => {
  response.json({ app: 'express', version: VERSION, pid: process.pid, instance: process.env.NODE_APP_INSTANCE });
});

app.post('/once', express.text({ type: () => true, limit: '1mb' }), (request, response) => {
  database.insert(request.query.id);
  response.json({ id: request.query.id, bytes: Buffer.byteLength(request.body ?? '') });
});

const server = app.listen(process.env.PORT || 3000, () => {
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
