/**
 * All checks that look back on a finished seed. What must hold at each instant is the observer's.
 */

import { checkCampaigns } from './campaign-oracle.ts'
import { checkBought } from './check-bought.ts'
import { checkComputed } from './check-computed.ts'
import { checkDelivery } from './check-delivery.ts'
import { checkIntake } from './check-intake.ts'
import { checkState } from './check-state.ts'
import { checkPeople } from './identity-oracle.ts'
import { readNaively } from './naive-log.ts'
import type { Scene } from './simulate.ts'

export async function checkWorld(scene: Scene): Promise<void> {
  const partitions = scene.observer.log.map(readNaively)
  checkIntake(scene, partitions)
  await checkState(scene, partitions)
  await checkBought(scene, partitions)
  await checkComputed(scene)
  await checkDelivery(scene, partitions)
  await checkCampaigns(scene, partitions)
  await checkPeople(scene, partitions)
}
