import type { StateStore } from './state-store.ts'

/** Returns a store that commits by `commit`, and does all else as `store` does. */
export function withCommit(store: StateStore, commit: StateStore['commit']): StateStore {
  return {
    head: (partition) => store.head(partition),
    get: (partition, keys) => store.get(partition, keys),
    scan: (partition, within, after, countMax) => store.scan(partition, within, after, countMax),
    acquire: (partition, epoch, nonce) => store.acquire(partition, epoch, nonce),
    release: (partition, epoch, nonce) => store.release(partition, epoch, nonce),
    close: () => store.close(),
    commit,
  }
}
