// Sends events as a server with @segment/analytics-node would; prints the ids of those it takes for delivered.
// node segment_node.mjs HOST KEY COUNT
import { Analytics } from '@segment/analytics-node'

const [host, writeKey, count] = process.argv.slice(2)
const analytics = new Analytics({ host, writeKey, maxEventsInBatch: 15, flushInterval: 200 })
const delivered = []
const done = (error, context) => {
  if (error) console.error(error)
  else delivered.push(context.event.messageId)
}

for (let i = 0; i < Number(count); i++) {
  const who = { userId: `user-${i % 7}` }
  if (i % 5 === 0) analytics.page({ ...who, name: 'Home', properties: { i } }, done)
  else analytics.track({ ...who, event: 'Offer Shown', properties: { i } }, done)
}
await analytics.closeAndFlush({ timeout: 30000 })
console.log(JSON.stringify(delivered))
