// An app of ES modules as a PM2 user has it with `wait_ready` and `shutdown_with_message`. It knows nothing of portreeve.
// HABIT, a word in the environment, makes it do one thing more that an app may do with its channel.
import { createServer } from 'node:http';

const server = createServer((request, response) => {
  if (request.url === '/whoami') {
    response.setHeader('Content-Type', 'application/json');
    return response.end(JSON.stringify({ app: 'esm', pid: process.pid, connected: process.connected }));
  }
  response.statusCode = 404;
  response.end();
});

const habits = {
  // A message with a handle, which only another Node could take.
  handle: () => process.send({ type: 'take this' }, server),
  metrics: () => process.send({ type: 'axm:monitor', data: { loop: { value: '0.5ms' } } }),
};

server.listen(process.env.PORT || 3000, () => {
  habits[process.env.HABIT]?.();
  process.send('ready', () => {
    if (process.env.HABIT === 'disconnect') process.disconnect();
  });
});

process.on('disconnect', () => console.log('the channel is closed'));

// Closing takes two turns: a signal in between would end the process at once, for it has no handler.
if (process.env.HABIT !== 'deaf') {
  process.on('message', (message) => {
    if (message !== 'shutdown') return;
    server.close(() => {
      setTimeout(() => {
        console.log('closed because of a message');
        process.exit(0);
      }, 50);
    });
  });
}
