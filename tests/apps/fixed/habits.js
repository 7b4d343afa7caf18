// An app without shutdown code, and with habits: HABIT is a word in the environment.
'use strict';

const cluster = require('node:cluster');
const fs = require('node:fs');
const http = require('node:http');
const net = require('node:net');
const { port, routes, whoami } = require('./orders');

const plain = routes('habits');
const answers = {
  '/crash': () => setImmediate(() => { throw new Error('caught by nobody'); }),
  '/cluster': (response) => {
    const told = { worker: cluster.isWorker, primary: cluster.isPrimary, id: cluster.worker?.id };
    const left = Object.keys(process.env).filter((name) => /^(NODE_(UNIQUE|CHANNEL|OPTIONS)|PORTREEVE_PRELOAD)/.test(name));
    const peer = response.socket.remoteAddress;
    response.end(JSON.stringify({ ...told, left, peer, send: typeof process.send, ...server.address() }));
  },
  // An answer that takes until somebody makes the file.
  '/slow': (response) => {
    response.write('begun ');
    const timer = setInterval(() => {
      if (!fs.existsSync(process.env.GATE)) return;
      clearInterval(timer);
      response.end('and done');
    }, 10);
  },
  '/child': (response) => {
    const child = require('node:child_process').fork(__filename, { env: { ...process.env, HABIT: 'child', APP_PORT: 0 } });
    child.on('message', (told) => {
      child.kill();
      response.end(JSON.stringify(told));
    });
  },
  '/thread': (response) => {
    const { Worker } = require('node:worker_threads');
    const code = `const server = require('net').createServer().listen(0, '127.0.0.1', () => {
      require('worker_threads').parentPort.postMessage(server.address()); server.close(); });`;
    new Worker(code, { eval: true }).on('message', (told) => response.end(JSON.stringify(told)));
  },
  '/fork': (response) => {
    try {
      response.end(JSON.stringify({ fork: typeof require('node:cluster').fork }));
    } catch (error) {
      response.end(JSON.stringify({ error: error.message }));
    }
  },
};

const server = http.createServer((request, response) => {
  const answer = answers[request.url];
  return answer ? answer(response) : plain(request, response);
});

const listen = (...where) => new Promise((resolve, reject) => {
  net.createServer().on('error', reject).listen(...where, resolve);
});

const habits = {
  child: () => process.send(whoami('child')),
  metrics_first: async () => {
    await listen(Number(process.env.METRICS_PORT));
    server.listen(process.env.PORT);
  },
  exclusive: () => server.listen({ port: process.env.PORT, host: process.env.HOST, exclusive: true }),
  exclusive_elsewhere: () => server.listen({ port, exclusive: true }),
  everywhere: async () => {
    server.listen(port);
    const said = {};
    const note = async (name, ...where) => {
      said[name] = await listen(...where).then(() => 'listens', (error) => error.code);
    };
    await note('zero', 0);
    await note('path', process.env.SOCKET);
    await note('again', port);
    await note('descriptor', { fd: 7 });
    await note('taken', Number(process.env.TAKEN_PORT), '127.0.0.1');
    const udp = require('node:dgram').createSocket('udp4');
    await new Promise((resolve) => udp.bind(Number(process.env.METRICS_PORT), resolve));
    said.udp = udp.address().port === Number(process.env.METRICS_PORT) ? 'listens' : 'elsewhere';
    console.log(`said ${JSON.stringify(said)}`);
  },
  close_and_again: () => {
    server.listen(port, () => server.close(() => server.listen(port, () => console.log('listens again'))));
  },
  disconnect: () => server.listen(port, () => {
    cluster.worker.once('disconnect', () => console.log('left of its own will'));
    cluster.worker.disconnect();
    setInterval(() => {}, 1000);
  }),
  garbage: () => {
    const act = (rest) => process.send({ cmd: 'NODE_CLUSTER', ...rest });
    for (let round = 0; round < 20; round++) {
      fs.writeSync(3, '{"cmd":"NODE_CLUSTER","act":\nqueryServer\n');
      act({});
      act({ act: 'queryServer' });
      act({ act: 'queryServer', seq: -1, port: {}, addressType: [], fd: 'x', data: 7 });
      act({ act: 'queryServer', seq: 1e9, port: 1e9, addressType: 4 });
      act({ act: 'close', key: '9999' });
      act({ act: 'listening', port: 65536 });
      act({ act: 'exitedAfterDisconnect', seq: 'x' });
      process.send({ cmd: 'NODE_HANDLE_ACK' });
      process.send({ cmd: 'NODE_HANDLE_NACK' });
    }
    server.listen(port);
  },
};

(habits[process.env.HABIT] ?? (() => server.listen(port)))();
