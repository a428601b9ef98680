// Starts the program on an empty data folder and a free port, or takes the server it is given.

import { spawn } from 'node:child_process';
import path from 'node:path';

/** `fresh` says that the library was empty; `stop` ends what was started here and nothing else. */
export async function startServer(folder) {
  if (process.env.PREMISE_URL) return { url: new URL(process.env.PREMISE_URL).origin, fresh: false, stop: async () => {} };
  const program = process.env.PREMISE_BIN;
  if (!program) throw new Error('set PREMISE_BIN to the program, or PREMISE_URL to a running server');
  const child = spawn(program, ['--data-dir', path.join(folder, 'data'), 'serve', '--addr', '127.0.0.1:0'], {
    env: { PREMISE_GENERATOR: 'smollm2-135m', ...process.env }, stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  const ended = new Promise((resolve) => { child.once('close', resolve); });
  const url = await new Promise((resolve, reject) => {
    const fail = (why) => reject(new Error(`${program} serve ${why}; it said:\n${said}`));
    const timer = setTimeout(() => { child.kill(); fail('printed no address within two minutes'); }, 120_000);
    child.once('error', (error) => { clearTimeout(timer); fail(error.message); });
    child.once('close', (code) => { clearTimeout(timer); fail(`ended with ${code}`); });
    const hear = (chunk) => {
      said += chunk;
      const address = /http:\/\/127\.0\.0\.1:[1-9]\d*/.exec(said)?.[0];
      if (address) { clearTimeout(timer); resolve(address); }
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', (chunk) => { said += chunk; });
  });
  return {
    url,
    fresh: true,
    async stop() {
      child.kill('SIGTERM');
      const patience = setTimeout(() => child.kill('SIGKILL'), 15_000);
      await ended;
      clearTimeout(patience);
    },
  };
}
