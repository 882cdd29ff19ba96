/**
 * DynamoDB Local, for tests, benchmarks and `scripts/services.ts`.
 *
 * Its files come from Maven once (`fetchDynamodb`), into the service cache. It keeps its tables in
 * memory, so what is stopped and started again is empty, unless `isOnDisk` is given. It knows
 * transactions, conditions, request tokens and the limits of sizes and counts; it knows no
 * throttling, no conflicts of transactions and no second copy.
 */

import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type JavaServiceOptions, javaFlags } from './java-flags.ts'
import { createNode, freePorts, type Service } from './service.ts'
import { fetchLibraries, hasProgram, serviceCacheFolder } from './service-cache.ts'

export interface DynamodbServiceOptions extends JavaServiceOptions {
  /** Tables are kept in a folder, so that they are there again after a stop. */
  readonly isOnDisk?: boolean
}

const pomPath = fileURLToPath(new URL('dynamodb/pom.xml', import.meta.url))
const serverClass = 'software.amazon.dynamodb.services.local.main.ServerRunner'
const host = '127.0.0.1'

/** Skip reason for tests where the files of DynamoDB Local are missing. */
export const dynamodbIsMissing = 'DynamoDB Local is not here; run node scripts/services.ts fetch'

/** The client wants some; the server takes them as the name of a set of tables. */
export const dynamodbEnvironment = { AWS_ACCESS_KEY_ID: 'attune', AWS_SECRET_ACCESS_KEY: 'attune' }

/** Tells whether `startDynamodb` can start. */
export function hasDynamodb(): boolean {
  return existsSync(libraryFolder()) && hasProgram('java')
}

/** Brings the files by Maven unless they are here; returns their folder. */
export function fetchDynamodb(): string {
  return fetchLibraries(pomPath, libraryFolder())
}

/**
 * Starts a server with files of its own. Its endpoint is `http://` and its only address. Clients in
 * this process, and in those it starts, find credentials in the environment from now on.
 */
export async function startDynamodb(options: DynamodbServiceOptions = {}): Promise<Service> {
  Object.assign(process.env, dynamodbEnvironment)
  const library = libraryFolder()
  const folder = mkdtempSync(join(tmpdir(), 'attune-dynamodb-'))
  const [port = 0] = await freePorts(1)
  const tables = options.isOnDisk === true ? ['-dbPath', folder] : ['-inMemory']
  const node = createNode({
    name: 'dynamodb',
    program: 'java',
    parameters: [
      ...javaFlags(options),
      ...[`-Djava.library.path=${library}`, '-cp', join(library, '*'), serverClass],
      ...['-port', String(port), '-disableTelemetry', ...tables],
    ],
    folder,
    ports: [port],
  })
  const service: Service = {
    name: 'dynamodb',
    folder,
    addresses: [`${host}:${port}`],
    nodes: [node],
    async stop() {
      // Its files go too, so there is nothing to put in order first.
      await node.stop('SIGKILL')
      rmSync(folder, { recursive: true, force: true })
    },
  }
  try {
    await node.start()
  } catch (error) {
    await service.stop()
    throw error
  }
  return service
}

function libraryFolder(): string {
  const version = /<dynamodb\.version>([^<]+)</.exec(readFileSync(pomPath, 'utf8'))?.[1]
  if (version === undefined) throw new Error(`${pomPath} names no dynamodb.version`)
  return join(serviceCacheFolder(), `dynamodb-${version}`)
}
