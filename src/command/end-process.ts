/**
 * Ends the process at once, also where a thread hangs in a call of the system that does not come
 * back.
 *
 * `process.exit` waits for all threads, so a disk that does not answer would keep a server that has
 * said that it ends. Replacing the program takes every thread with it; what takes its place only
 * exits with the code.
 */
export function endProcess(code: number): never {
  const { execPath } = process
  process.execve?.(execPath, [execPath, '-e', `process.exit(${code})`], {})
  process.exit(code)
}
