/** A mail catcher in a process of its own. Tells of each mail whom it is for, and when it came. */

import { openMailCatcher } from '../src/catcher/mail-catcher.ts'

export interface CaughtAt {
  readonly to: string
  /** On the machine's monotonic clock, the same for all processes. */
  readonly atMs: number
}

const host = '127.0.0.1'

process.on('message', () => {
  void openMailCatcher({ host, port: 0, mailCountMax: 100 }).then((catcher) => {
    catcher.subscribe(({ envelopeTo }) => {
      const atMs = Number(process.hrtime.bigint()) / 1e6
      process.send?.({ to: envelopeTo[0] ?? '', atMs } satisfies CaughtAt)
    })
    process.send?.({ port: catcher.port })
  })
})
