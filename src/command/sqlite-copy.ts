/**
 * Copies a SQLite file as it is at one instant, also while another process writes to it.
 *
 * All pages in one step: a copy in several would begin again at each commit of the writer, and
 * never end under load. The WAL of the source cannot be emptied meanwhile, so it grows by what is
 * written during the copy, and is given back to the disk after it.
 */

import { backup, DatabaseSync } from 'node:sqlite'
import { OperatingError } from '../lib/errors.ts'

const pageCountMax = 2 ** 31 - 1

export async function copySqliteFile(from: string, to: string): Promise<void> {
  let source: DatabaseSync
  try {
    source = new DatabaseSync(from, { readOnly: true })
  } catch (error) {
    throw new OperatingError('DATA_DIR_INVALID', `open ${from}`, error)
  }
  try {
    await backup(source, to, { rate: pageCountMax })
  } catch (error) {
    throw new OperatingError('STORE_IO', `copy ${from} to ${to}`, error)
  } finally {
    source.close()
  }
}
