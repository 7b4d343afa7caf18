// Loaded first by every Node of a worker that is started with node = "preload". The server that the app means for its
// requests is moved to HOST:PORT, whatever port its code has; every other server, process and thread is left alone.
'use strict';

const { PORTREEVE_PRELOAD: told, PORT, HOST } = process.env;

if (told !== undefined && require('worker_threads').isMainThread) {
  const net = require('net');
  const { listen } = net.Server.prototype;
  // The port that is to be moved: told, or the first that is asked for.
  let main = told === '' ? undefined : Number(told);

  // As Node reads the arguments: a text that is no number is a path.
  const isPort = (value) => value !== '' && Number(value) >= 0;

  function portOf(first) {
    if (typeof first === 'number' || typeof first === 'string') return isPort(first) ? Number(first) : undefined;
    if (typeof first !== 'object' || first === null) return undefined;
    const isElsewhere = first._handle || first.path !== undefined || first.fd !== undefined;
    return !isElsewhere && isPort(first.port ?? '') ? Number(first.port) : undefined;
  }

  function moved([first, ...rest]) {
    const place = { port: Number(PORT), host: HOST };
    if (typeof first === 'object') return [{ ...first, ...place }, ...rest];
    const backlog = rest.find((value) => typeof value === 'number');
    const callback = rest.find((value) => typeof value === 'function');
    return [{ ...place, backlog }, callback];
  }

  // What the app starts is its own affair.
  function leaveNoTrace() {
    delete process.env.PORTREEVE_PRELOAD;
    const options = (process.env.NODE_OPTIONS ?? '').split(`--require ${JSON.stringify(__filename)}`).join('').trim();
    if (options === '') delete process.env.NODE_OPTIONS;
    else process.env.NODE_OPTIONS = options;
  }

  net.Server.prototype.listen = function (...args) {
    const port = portOf(args[0]);
    if (!port) return listen.apply(this, args);
    if (port === Number(PORT)) {
      main ??= port;
      leaveNoTrace();
      return listen.apply(this, args);
    }
    main ??= port;
    if (port !== main) return listen.apply(this, args);
    leaveNoTrace();
    return listen.apply(this, moved(args));
  };
}
