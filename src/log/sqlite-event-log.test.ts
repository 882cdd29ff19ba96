import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { it, type TestContext } from 'node:test'
import { Worker } from 'node:worker_threads'
import { aRecord, describeEventLog } from './event-log.contract.ts'
import type { EventLog } from './event-log.ts'
import { type LogRecord, recordBytesMax } from './record.ts'
import { openSqliteEventLog } from './sqlite-event-log.ts'
import { initSqliteLogs, type LogStream, logPath, trimSqliteLog } from './sqlite-log-file.ts'
import { openSqliteEventLogReader } from './sqlite-log-reader.ts'
import { type LogThread, type LogThreadOptions, startLogThread } from './sqlite-log-thread.ts'
import { LogFaults } from './sqlite-log-writer.ts'

const identity = { incarnation: 'incarnation-1', partitionCount: 4 }

interface OpenedLog {
  readonly dataDir: string
  readonly thread: LogThread
  readonly log: EventLog
  readonly faults: Int32Array
  again(stream?: LogStream): Promise<EventLog>
}

async function openLog(t: TestContext, options: LogThreadOptions = {}): Promise<OpenedLog> {
  const logs: EventLog[] = []
  const dataDir = await initDir(t, async () => {
    for (const log of logs) await log.close()
    await thread.close()
    assert.equal(quickCheck(dataDir), 'ok')
  })
  const faults = new SharedArrayBuffer(LogFaults.count * 4)
  const thread = await startLogThread(dataDir, { faults, ...options })
  const again = async (stream: LogStream = 'events'): Promise<EventLog> => {
    const log = await openSqliteEventLog({ dataDir, stream, port: thread.connect() })
    logs.push(log)
    return log
  }
  return { dataDir, thread, log: await again(), faults: new Int32Array(faults), again }
}

/** Makes both logs in a folder that is removed after the test, when `close` is through. */
async function initDir(t: TestContext, close = async (): Promise<void> => {}): Promise<string> {
  const dataDir = mkdtempSync(join(tmpdir(), 'attune-log-'))
  t.after(async () => {
    await close()
    rmSync(dataDir, { recursive: true })
  })
  await initSqliteLogs(dataDir, identity)
  return dataDir
}

function quickCheck(dataDir: string): unknown {
  const db = new DatabaseSync(logPath(dataDir, 'events'))
  const answer = db.prepare('PRAGMA quick_check').get()?.['quick_check']
  db.close()
  return answer
}

const keyIdsOf = (records: readonly LogRecord[]): readonly number[] =>
  records.map(({ keyId }) => keyId)

describeEventLog('sqlite', async (t) => {
  const { dataDir, log, again, faults } = await openLog(t)
  return {
    log,
    again,
    trim: (partition, through) => trimSqliteLog({ dataDir, stream: 'events' }, partition, through),
    setFault(fault) {
      faults[LogFaults.isDiskFull] = fault === 'DISK_FULL' ? 1 : 0
      faults[LogFaults.failCommit] = fault === 'STORE_IO' ? 1 : 0
    },
  }
})

it('keeps the two logs apart', async (t) => {
  const { log, again } = await openLog(t)
  const rejected = await again('rejected')
  await Promise.all([log.append([aRecord({ keyId: 1 })]), rejected.append([aRecord({ keyId: 2 })])])
  assert.deepEqual(
    (await log.read(0, 0, 5)).map(({ keyId }) => keyId),
    [1],
  )
  assert.deepEqual(
    (await rejected.read(0, 0, 5)).map(({ keyId }) => keyId),
    [2],
  )
})

it('has everything, and its identity, when it is opened again', async (t) => {
  const { dataDir, log, thread } = await openLog(t)
  await log.append([aRecord({ keyId: 1 }), aRecord({ partition: 3, keyId: 2 })])
  await log.close()
  await thread.close()
  const restarted = await startLogThread(dataDir)
  const port = restarted.connect()
  const reopened = await openSqliteEventLog({ dataDir, stream: 'events', port })
  assert.deepEqual(reopened.identity, identity)
  assert.deepEqual(await reopened.append([aRecord({ keyId: 3 })]), [{ partition: 0, offset: 2 }])
  assert.deepEqual(
    (await reopened.read(0, 0, 5)).map(({ keyId }) => keyId),
    [1, 3],
  )
  assert.equal(await reopened.end(3), 1)
  await reopened.close()
  await restarted.close()
})

it('lets another process read and wait, and refuses its appends', async (t) => {
  const { dataDir, log } = await openLog(t)
  const reader = await openSqliteEventLogReader({ dataDir, stream: 'events' })
  const waiting = reader.wait([1], [0], new AbortController().signal)
  await log.append([aRecord({ partition: 1 })])
  await waiting
  assert.equal((await reader.read(1, 0, 5)).length, 1)
  await assert.rejects(reader.append([aRecord()]))
  await reader.close()
})

it('appends what else one turn appends where a part of it is refused', async (t) => {
  const { log } = await openLog(t)
  const tooLarge = aRecord({ keyId: 3, body: new Uint8Array(recordBytesMax) })
  const before = log.append([aRecord({ keyId: 1 })])
  const refused = log.append([aRecord({ keyId: 2 }), tooLarge])
  const after = log.append([aRecord({ keyId: 4 })])
  await assert.rejects(refused)
  assert.deepEqual(await Promise.all([before, after]), [
    [{ partition: 0, offset: 1 }],
    [{ partition: 0, offset: 2 }],
  ])
  assert.deepEqual(
    (await log.read(0, 0, 9)).map(({ keyId }) => keyId),
    [1, 4],
  )
  assert.equal(log.queueBytes(), 0)
})

it('refuses at once what is more than may wait, and takes it again after the commit', async (t) => {
  const { log, faults } = await openLog(t, { queueBytesHigh: 100_000 })
  faults[LogFaults.stallMs] = 100
  const body = new Uint8Array(30_000)
  const calls = [1, 2, 3, 4].map((keyId) => log.append([aRecord({ keyId, body })]))
  await assert.rejects(calls[3] ?? Promise.resolve(), { code: 'LOG_OVERLOADED', retryable: true })
  assert.ok(log.queueBytes() > 90_000)
  await Promise.all(calls.slice(0, 3))
  faults[LogFaults.stallMs] = 0
  await log.append([aRecord({ keyId: 5, body })])
  assert.equal(log.queueBytes(), 0)
  assert.deepEqual(
    (await log.read(0, 0, 9)).map(({ keyId }) => keyId),
    [1, 2, 3, 5],
  )
})

it('answers within a long turn what is durable by then, in order', async (t) => {
  const { log } = await openLog(t)
  const answered: number[] = []
  const append = (keyId: number, bytes: number): Promise<void> =>
    log.append([aRecord({ keyId, body: new Uint8Array(bytes) })]).then(([place]) => {
      answered.push(place?.offset ?? 0)
    })
  const calls = [append(1, 600_000), append(2, 600_000)]
  const sleeper = new Int32Array(new SharedArrayBuffer(4))
  // Promises alone have their turn here: no message and no timer is taken from the event loop.
  for (let look = 0; answered.length < 2 && look < 60_000; look++) {
    Atomics.wait(sleeper, 0, 0, 1)
    calls.push(append(3, 1))
    for (let step = 0; step < 5; step++) await Promise.resolve()
  }
  assert.deepEqual(answered, [1, 2])
  await Promise.all(calls)
  assert.deepEqual(
    answered,
    calls.map((_, index) => index + 1),
  )
})

it('tells the parent of a failure that is for good', async (t) => {
  const { log, faults, thread } = await openLog(t)
  faults[LogFaults.failCommit] = 1
  await assert.rejects(log.append([aRecord()]), { code: 'STORE_IO' })
  assert.equal((await thread.failed).code, 'STORE_IO')
})

it('notices from outside a commit that does not come back', async (t) => {
  const { log, faults, thread } = await openLog(t, { stuckMs: 200 })
  await log.append([aRecord()])
  faults[LogFaults.stallMs] = 3000
  let isBack = false
  const stuck = log.append([aRecord()]).then(() => {
    isBack = true
  })
  assert.equal((await thread.failed).code, 'STORE_STUCK')
  assert.equal(isBack, false)
  await stuck
})

it('calls no commit stuck that only takes long', async (t) => {
  const { log, faults, thread } = await openLog(t, { stuckMs: 3000 })
  // Longer together, and each with room for a thread that does not get its turn.
  faults[LogFaults.stallMs] = 800
  for (let round = 0; round < 4; round++) await log.append([aRecord()])
  const answer = await Promise.race([thread.failed, Promise.resolve('well')])
  assert.equal(answer, 'well')
})

it('refuses calls when the writer is gone', async (t) => {
  const { log, thread } = await openLog(t)
  await thread.close()
  await assert.rejects(log.append([aRecord()]), { code: 'STORE_IO' })
})

it('can be opened from another worker with a transferred port', async (t) => {
  const { dataDir, log, thread } = await openLog(t)
  const source = `
    import { parentPort, workerData } from 'node:worker_threads'
    import { aRecord } from '${new URL('event-log.contract.ts', import.meta.url)}'
    import { openSqliteEventLog } from '${new URL('sqlite-event-log.ts', import.meta.url)}'
    const log = await openSqliteEventLog(workerData)
    parentPort.postMessage(await log.append([aRecord({ partition: 2 })]))
    await log.close()`
  const port = thread.connect()
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), {
    workerData: { dataDir, stream: 'events', port },
    transferList: [port],
  })
  const waiting = log.wait([2], [0], new AbortController().signal)
  const [[places]] = await Promise.all([once(worker, 'message'), waiting, once(worker, 'exit')])
  assert.deepEqual(places, [{ partition: 2, offset: 1 }])
})

it('has every acknowledged record after the process is killed', async (t) => {
  const dataDir = await initDir(t)
  const source = `
    import { writeSync } from 'node:fs'
    import { aRecord } from '${new URL('event-log.contract.ts', import.meta.url)}'
    import { openSqliteEventLog } from '${new URL('sqlite-event-log.ts', import.meta.url)}'
    import { startLogThread } from '${new URL('sqlite-log-thread.ts', import.meta.url)}'
    const dataDir = ${JSON.stringify(dataDir)}
    const thread = await startLogThread(dataDir)
    const log = await openSqliteEventLog({ dataDir, stream: 'events', port: thread.connect() })
    for (;;) {
      const records = Array.from({ length: 20 }, (_, n) => aRecord({ partition: n % 4 }))
      const places = await log.append(records)
      for (const { partition, offset } of places) writeSync(1, partition + ' ' + offset + '\\n')
    }`
  const script = join(dataDir, 'append.mjs')
  writeFileSync(script, source)
  const acknowledged = new Map<number, number>()
  for (let round = 0; round < 2; round++) {
    const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] })
    let output = ''
    child.stdout.on('data', (chunk) => {
      output += String(chunk)
      if (output.length > 2000 * (round + 1)) child.kill('SIGKILL')
    })
    await once(child, 'close')
    for (const line of output.split('\n').slice(0, -1)) {
      const [partition = 0, offset = 0] = line.split(' ').map(Number)
      acknowledged.set(partition, Math.max(offset, acknowledged.get(partition) ?? 0))
    }
    assert.ok(acknowledged.size === 4, 'the child appended before it was killed')
  }
  const reader = await openSqliteEventLogReader({ dataDir, stream: 'events' })
  for (const [partition, offset] of acknowledged) {
    assert.ok((await reader.end(partition)) >= offset)
    assert.equal((await reader.read(partition, 0, offset)).length, offset)
  }
  await reader.close()
  assert.equal(quickCheck(dataDir), 'ok')
})

it('refuses to read a record whose bytes were changed', async (t) => {
  const { dataDir, log } = await openLog(t)
  await log.append([aRecord(), aRecord()])
  const db = new DatabaseSync(logPath(dataDir, 'events'))
  const bytes = db.prepare('SELECT bytes FROM record_0 WHERE n = 2').get()?.['bytes'] as Uint8Array
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1
  db.prepare('UPDATE record_0 SET bytes = ? WHERE n = 2').run(bytes)
  db.close()
  assert.equal((await log.read(0, 0, 1)).length, 1)
  await assert.rejects(log.read(0, 0, 2), { code: 'STORE_CORRUPT' })
})

it('gives the newest records from memory to who reads on, and to nobody else', async (t) => {
  const { dataDir, log, again } = await openLog(t)
  await log.append([aRecord({ keyId: 1 })])
  assert.deepEqual(await log.read(0, 0, 9).then(keyIdsOf), [1])
  const others = [2, 3].map((keyId) => aRecord({ keyId, body: new Uint8Array(keyId) }))
  await log.append(others)
  const db = new DatabaseSync(logPath(dataDir, 'events'))
  db.exec("UPDATE record_0 SET bytes = x'0102030405' WHERE n > 1")
  db.close()
  const records = await log.read(0, 1, 9)
  assert.deepEqual(
    records.map(({ offset, key, keyId, body }) => [offset, key, keyId, body.length]),
    [
      [2, 'user:ada', 2, 2],
      [3, 'user:ada', 3, 3],
    ],
  )
  const another = await again()
  assert.deepEqual(await another.read(0, 0, 1).then(keyIdsOf), [1])
  await assert.rejects((await again()).read(0, 1, 9), { code: 'STORE_CORRUPT' })
  await assert.rejects(log.read(0, 1, 9), { code: 'STORE_CORRUPT' })
})

it('refuses a gap in the middle', async (t) => {
  const { dataDir, log } = await openLog(t)
  await log.append([aRecord(), aRecord(), aRecord()])
  const db = new DatabaseSync(logPath(dataDir, 'events'))
  db.exec('DELETE FROM record_0 WHERE n = 2')
  db.close()
  await assert.rejects(log.read(0, 0, 5), { code: 'LOG_OFFSET_LOST' })
})

it('refuses another format, a file that is no log, and a folder without one', async (t) => {
  const dataDir = await initDir(t)
  await assert.rejects(initSqliteLogs(dataDir, identity), { code: 'DATA_DIR_INVALID' })
  const db = new DatabaseSync(logPath(dataDir, 'rejected'))
  db.exec('PRAGMA user_version = 99')
  db.close()
  await assert.rejects(startLogThread(dataDir), { code: 'DATA_DIR_VERSION' })
  writeFileSync(logPath(dataDir, 'rejected'), 'not a database, however long it may be'.repeat(200))
  await assert.rejects(startLogThread(dataDir), { code: 'STORE_CORRUPT' })
  await assert.rejects(startLogThread(join(dataDir, 'nowhere')), { code: 'DATA_DIR_INVALID' })
})

it('refuses two logs that do not belong together', async (t) => {
  const dataDir = await initDir(t)
  const db = new DatabaseSync(logPath(dataDir, 'rejected'))
  db.exec("UPDATE meta SET incarnation = 'another'")
  db.close()
  await assert.rejects(startLogThread(dataDir), { code: 'LOG_MISMATCH' })
})

it('is made again where making it was cut off', async (t) => {
  const dataDir = await initDir(t)
  rmSync(logPath(dataDir, 'events'))
  new DatabaseSync(logPath(dataDir, 'events')).close()
  await initSqliteLogs(dataDir, { ...identity, incarnation: 'incarnation-2' })
  const reader = await openSqliteEventLogReader({ dataDir, stream: 'rejected' })
  assert.equal(reader.identity.incarnation, 'incarnation-2')
  await reader.close()
})
