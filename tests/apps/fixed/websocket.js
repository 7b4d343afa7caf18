'use strict';

const http = require('node:http');
const { WebSocketServer } = require('ws');
const { metrics, port, routes } = require('./orders');

const server = http.createServer(routes('websocket'));
const sockets = new WebSocketServer({ server, path: '/ws' });
sockets.on('connection', (socket) => socket.on('message', (text) => socket.send(`${process.pid} ${text}`)));
server.listen(port, '127.0.0.1');
metrics('websocket');
