// A plain Node server that ends as it should: it stops accepting, finishes what is in flight, and exits.
const http = require('node:http');

const server = http.createServer((request, response) => {
  if (request.url === '/health') return response.end('fine\n');
  response.end(`hello from generation ${process.env.PORTREEVE_GENERATION}, worker ${process.env.PORTREEVE_SLOT}\n`);
});

server.listen(process.env.PORT || 3000, process.env.HOST);

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.on(signal, () => server.close(() => process.exit(0)));
}
