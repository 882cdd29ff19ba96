/**
 * Puts failpoints around the ports of the owner of partitions, so that the fold and delivery know
 * nothing of them.
 *
 * A commit that has returned and not been published is `fold-after-commit`; a grant that was heard
 * and not handed over is `hand-over-before`; a hand-over without a result is `hand-over-after`.
 */

import type { Mailer } from '../delivery/mailer.ts'
import type { Failpoint } from '../lib/failpoint.ts'
import type { EventLog } from '../log/event-log.ts'
import type { StateStore } from '../state/state-store.ts'
import { withCommit } from '../state/with-commit.ts'

export interface OwnerPorts {
  readonly log: EventLog
  readonly state: StateStore
  readonly mailer?: Mailer
}

export function withFailpoints(ports: OwnerPorts, failpoint: Failpoint): OwnerPorts {
  const { log, state, mailer } = ports
  return {
    log: passOn(log, {
      async append(records) {
        // The forwarder's appends hold nothing else.
        const isForwarding = records[0]?.outbox !== undefined
        if (isForwarding) failpoint('forward-before-append')
        const places = await log.append(records)
        if (isForwarding) failpoint('forward-after-append')
        return places
      },
    }),
    state: withCommit(state, async (commits) => {
      failpoint('fold-before-commit')
      const answers = await state.commit(commits)
      failpoint('fold-after-commit')
      return answers
    }),
    ...(mailer === undefined ? {} : { mailer: mailerWith(mailer, failpoint) }),
  }
}

function mailerWith(mailer: Mailer, failpoint: Failpoint): Mailer {
  return passOn(mailer, {
    async handOver(request, signal) {
      failpoint('hand-over-before')
      const answer = await mailer.handOver(request, signal)
      failpoint('hand-over-after')
      return answer
    },
  })
}

/** Returns `port` with some of its functions replaced; the others are called on `port` itself. */
function passOn<Port extends object>(port: Port, replaced: Partial<Port>): Port {
  return new Proxy(port, {
    get(target, name) {
      const own: unknown = Reflect.get(replaced, name)
      if (own !== undefined) return own
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}
