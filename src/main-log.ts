/**
 * Entry of the thread that writes both logs. It is started by `startLogThread`, which it answers
 * with `ready`, and it ends when it is told to `close`.
 */

import { isMainThread, parentPort, workerData } from 'node:worker_threads'
import { assert } from './lib/assert.ts'
import { OperatingError } from './lib/errors.ts'
import type { LogThreadMessage, LogThreadOrder } from './log/sqlite-log-thread.ts'
import { LogWriter, type LogWriterOptions } from './log/sqlite-log-writer.ts'

assert(!isMainThread && parentPort, 'the log has a thread of its own')
serveLogs(parentPort)

function serveLogs(port: NonNullable<typeof parentPort>): void {
  const say = (message: LogThreadMessage): void => port.postMessage(message)
  let writer: LogWriter
  try {
    writer = new LogWriter(workerData as LogWriterOptions, (error) =>
      say({ kind: 'failed', code: error.code, says: error.message }),
    )
  } catch (error) {
    if (!(error instanceof OperatingError)) throw error
    say({ kind: 'unready', code: error.code, says: error.message })
    port.close()
    return
  }
  port.on('message', (order: LogThreadOrder) => {
    if (order.kind === 'connect') return writer.connect(order.port)
    writer.close()
    port.close()
  })
  const partitionCount = writer.partitionCount
  say({ kind: 'ready', buffer: writer.shared.buffer, partitionCount })
}
