/**
 * Certificates for tests with encrypted connections: an authority of our own, a server's
 * certificate for the loopback, and a client's. Made by openssl for two days, in a folder that the
 * caller removes.
 */

import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Certificates {
  /** PEM files. */
  readonly caFile: string
  readonly serverKeyFile: string
  readonly serverCertFile: string
  readonly clientKeyFile: string
  readonly clientCertFile: string
}

const days = '2'

export function hasOpenssl(): boolean {
  return spawnSync('openssl', ['version']).status === 0
}

export function makeCertificates(folder: string): Certificates {
  const at = (name: string): string => join(folder, name)
  const caKeyFile = at('ca-key.pem')
  const caFile = at('ca.pem')
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  openssl('req', '-x509', ...key, '-days', days, '-subj', '/CN=Test authority', [
    ...['-keyout', caKeyFile, '-out', caFile],
  ])
  const issue = (name: string, extensions: string) => {
    const [keyFile, certFile] = [at(`${name}-key.pem`), at(`${name}.pem`)]
    const [requestFile, extensionFile] = [at(`${name}.csr`), at(`${name}.ext`)]
    writeFileSync(extensionFile, extensions)
    openssl('req', ...key, '-subj', `/CN=${name}`, ['-keyout', keyFile, '-out', requestFile])
    openssl('x509', '-req', '-in', requestFile, '-days', days, '-CA', caFile, [
      ...['-CAkey', caKeyFile, '-CAcreateserial', '-extfile', extensionFile, '-out', certFile],
    ])
    return { keyFile, certFile }
  }
  const server = issue('server', 'subjectAltName=IP:127.0.0.1,DNS:localhost\n')
  const client = issue('client', 'extendedKeyUsage=clientAuth\n')
  return {
    caFile,
    serverKeyFile: server.keyFile,
    serverCertFile: server.certFile,
    clientKeyFile: client.keyFile,
    clientCertFile: client.certFile,
  }
}

/** Key and certificate in one file, as Kafka takes them. */
export function joinPem(into: string, ...files: readonly string[]): string {
  writeFileSync(into, files.map((file) => readFileSync(file, 'utf8')).join('\n'), { mode: 0o600 })
  return into
}

function openssl(...given: readonly (string | readonly string[])[]): void {
  const run = spawnSync('openssl', given.flat(), { encoding: 'utf8' })
  if (run.status !== 0) throw new Error(`openssl ${given.flat().join(' ')}:\n${run.stderr}`)
}
