import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import type { AdaptedRoute } from './adapter.ts'
import { cloudEventsRoute } from './cloud-events.ts'
import { createHookRoute } from './hook-route.ts'
import { createPixelRoute } from './pixel-route.ts'
import { posthogRoute } from './posthog-route.ts'
import { createReplayCache, defaultReplayOptions } from './replay-cache.ts'
import { createSecretReader } from './secret-reader.ts'

export interface AdaptedRoutesDeps {
  readonly clock: Clock
  readonly logger: Logger
  /** Where secrets may be that definitions name. */
  readonly environment: Readonly<Record<string, string | undefined>>
}

/** Returns the routes of all formats other than Segment's. */
export function createAdaptedRoutes(deps: AdaptedRoutesDeps): readonly AdaptedRoute[] {
  const secrets = createSecretReader(deps)
  const replays = createReplayCache(deps.clock, defaultReplayOptions)
  return [
    posthogRoute,
    createPixelRoute({ secrets }, 'page'),
    createPixelRoute({ secrets }, 'track'),
    createHookRoute({ clock: deps.clock, secrets, replays }),
    cloudEventsRoute,
  ]
}
