'use strict';

const { metrics, order, port, whoami } = require('./orders');

const app = require('fastify')();
app.addContentTypeParser('*', { parseAs: 'buffer' }, (request, body, done) => done(null, body));
app.get('/whoami', async () => whoami('fastify'));
app.post('/once', async (request) => order(request.query.id, request.body?.length ?? 0));

// A name, for which fastify listens on every address that it has.
app.listen({ host: 'localhost', port }).then(() => metrics('fastify'));
process.on('SIGTERM', () => app.close().then(() => process.exit(0)));
