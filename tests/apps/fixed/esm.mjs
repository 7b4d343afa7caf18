import cluster from 'node:cluster';
import { createServer } from 'node:http';
import orders from './orders.js';

const server = createServer(orders.routes('esm'));
server.listen({ port: orders.port, host: '0.0.0.0' }, () => {
  orders.metrics('esm');
  process.send?.('ready');
  console.log(`worker ${cluster.worker?.id}`);
});
process.on('SIGTERM', () => server.close(() => process.exit(0)));
