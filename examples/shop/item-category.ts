/**
 * Sorts items into categories by plain words of their names. The data has none of its own.
 *
 * The first rule with a word in the name wins, so the order matters: a Christmas candle is looked
 * for under Christmas, a lunch bag under Bags. A word matches at a word's start, in the singular or
 * in the plural.
 */

export const itemCategories = [
  'Christmas',
  'Jewellery & Accessories',
  'Lighting & Candles',
  'Bags & Purses',
  'Stationery & Cards',
  'Party & Gift Wrap',
  'Toys & Games',
  'Kitchen & Dining',
  'Garden & Outdoor',
  'Storage',
  'Bath & Wellbeing',
  'Craft & Haberdashery',
  'Home Decor',
] as const
export type ItemCategory = (typeof itemCategories)[number]

const rules: readonly (readonly [ItemCategory, RegExp])[] = [
  rule(
    'Christmas',
    'christmas, blackchristmas, xmas, advent, santa, reindeer, snowman, snowmen, ' +
      'snowflake, bauble, nativity, noel, rudolph, nutcracker, stocking, tree decoration, ' +
      'angel decoration, wicker star',
  ),
  rule('Bath & Wellbeing', 'hot water bottle, hand warmer, compact mirror, pocket mirror'),
  rule('Kitchen & Dining', 'napkin ring, tea towel, tea set, chopping board'),
  rule(
    'Home Decor',
    'metal sign, sign, doormat, doorstop, door hanger, clock, mirror, photo frame, ' +
      'picture frame, frame, wall art, block word, cushion cover, curtain, number tile, ' +
      'drawer knob, hammock',
  ),
  rule(
    'Jewellery & Accessories',
    'necklace, neckl, earring, bracelet, brooch, pendant, ring, bangle, anklet, jewel, ' +
      'jewellery, diamante, hair clip, hairclip, hairslide, hair grip, hair comb, hairband, ' +
      'scarf, shawl, sarong, sunglasses, umbrella, parasol, glove, sombrero, bead, keyring, ' +
      'key ring, keychain, key chain, hair tie, cufflink, locket, phone charm, charm, ' +
      'tiara, hat, watch, passport cover, luggage tag, luggage, slipper, poncho',
  ),
  rule(
    'Lighting & Candles',
    't-light, tlight, tea light, light, lamp, lantern, candle, candlestick, chandelier, ' +
      'tealight, nightlight, lampshade, votive, incense, joss, oil burner, candelabra, ' +
      'bulb, torch, oil, scented, fragrance, drop 4',
  ),
  rule(
    'Bags & Purses',
    'bag, shopper, purse, handbag, tote, rucksack, backpack, wallet, satchel, lunch bag, ' +
      'wash bag, jumbo, hand warmer purse, charlotte bag, shoulder, clutch',
  ),
  rule(
    'Party & Gift Wrap',
    'wrap, gift wrap, party, balloon, bunting, ribbon, gift tag, cake candle, confetti, ' +
      'streamer, paper chain, garland, cracker, pom pom, cocktail parasol, paper lantern, ' +
      'cake case, cupcake, doilies, doily, doiley, bon bon, paper plate, paper cup, napkin, ' +
      'tissue paper, rosette',
  ),
  rule(
    'Stationery & Cards',
    'notebook, pencil, pen, card, journal, stationery, calendar, sticker, stamp, memo, ' +
      'eraser, rubber, diary, note, notepad, letter, envelope, writing, chalk, crayon, ' +
      'tape, bookmark, sketchbook, colouring, postcard, paper clip, sharpener, photo album, ' +
      'album, ruler, address book, book, scrapbook, folder, magnet, voucher, organiser, ' +
      'clipboard',
  ),
  rule(
    'Toys & Games',
    'toy, game, doll, puzzle, jigsaw, teddy, bear, robot, skipping, soldier, playhouse, ' +
      'dominoes, domino, ludo, snakes, chess, puppet, spinning, yo yo, marble, bingo, ' +
      'dinosaur, tractor, kite, windmill child, balls, ball, juggling, magic, bubble, ride, ' +
      'rocking horse, playing, tattoo, snap, racing, whistle, kaleidoscope, helicopter, ' +
      'inflatable, glider, naughts, noughts, trampoline, hopper, hula, pirate, cowboy, ' +
      'circus, children, childrens, girl, boy, baby',
  ),
  rule(
    'Kitchen & Dining',
    'mug, cup, saucer, plate, bowl, teapot, tea, coffee, cake, cakestand, kitchen, ' +
      'cookie, cutter, spoon, fork, knife, knives, cutlery, jug, glass, goblet, tumbler, ' +
      'bottle opener, bottle, tray, apron, oven, baking, bread, egg, jam, jelly, pantry, ' +
      'recipe, spice, salt, pepper, sugar, milk, butter, cheese, lunch, snack, picnic, ' +
      'coaster, placemat, tablecloth, table cloth, tablemat, tea towel, dish, pan, mould, ' +
      'whisk, scale, timer, popcorn, straw, corkscrew, wine, beaker, ladle, pizza, pudding, ' +
      'strainer, colander, sundae, ice cream, drink, beer, fruit, platter, cocotte, ' +
      'ramekin, casserole, chopstick, decanter, flask, tankard, table, measuring, ' +
      'thermometer, cocktail, hob, biscuit, fridge, muffin, rolling pin, crockery, tiffin, ' +
      'dinner, breakfast, cruet, chilli, cake stand, porcelain',
  ),
  rule(
    'Garden & Outdoor',
    'garden, plant, planter, flower pot, watering, seed, bird, trowel, gnome, hose, ' +
      'kneeling, herb, grow, gardener, nest, parasol, outdoor, wheelbarrow, trellis, pot, ' +
      'flowerpot, fork, bulb, bike, bicycle, camping, deckchair, beach, tree, wellies, ' +
      'fountain, bug, dog, cat, feeder, insect, butterfly',
  ),
  rule(
    'Storage',
    'box, tin, basket, drawer, cabinet, storage, chest, jar, crate, trunk, rack, hook, ' +
      'hanger, shelf, shelve, holder, stand, case, bin, caddy, cube, container, hatbox, ' +
      'suitcase, tidy, letter rack, peg, dispenser, cupboard, trinket, pot',
  ),
  rule(
    'Bath & Wellbeing',
    'bath, soap, towel, bathroom, toothbrush, hot water bottle, hand warmer, hand cream, ' +
      'lip, balm, cosmetic, manicure, massage, compact, powder, perfume, sponge, lotion, ' +
      'tissue, plaster, toilet, wash, toilette, make up, nail, spa, first aid, heat, ear ' +
      'muff, earmuff, feather duster, sleep, headband',
  ),
  rule(
    'Craft & Haberdashery',
    'sewing, knitting, craft, felt, felting, button, patchwork, crochet, knitted, needle, ' +
      'fabric, cushion pad, filler pad, tape measure, pin, kit, weave, thread, lace, sew, ' +
      'applique, wool, yarn, polyester',
  ),
]

/**
 * Returns the category of an item by its name. What no rule knows is something to put in a room.
 */
export function categoryOf(name: string): ItemCategory {
  const text = name.toLowerCase()
  return rules.find(([, words]) => words.test(text))?.[0] ?? 'Home Decor'
}

function rule(category: ItemCategory, words: string): readonly [ItemCategory, RegExp] {
  const alternatives = words.split(', ').join('|')
  return [category, new RegExp(`(?:^|[^a-z])(?:${alternatives})(?:e?s|'s)?(?![a-z])`)]
}
