import { open } from 'node:fs/promises'

/** Resolves when what was written to a file or a folder is on the disk. */
export async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}
