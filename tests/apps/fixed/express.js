'use strict';

const express = require('express');
const { metrics, order, port, whoami } = require('./orders');

const app = express();
app.get('/whoami', (request, response) => response.json(whoami('express')));
app.post('/once', express.raw({ type: () => true }), (request, response) => {
  response.json(order(request.query.id, request.body?.length ?? 0));
});

const server = app.listen(port, () => console.log(`listening on ${server.address().port}`));
metrics('express');
process.on('SIGTERM', () => server.close(() => process.exit(0)));
