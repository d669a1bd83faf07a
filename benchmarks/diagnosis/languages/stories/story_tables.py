"""What may stand in a story: heroes, friends, things, places, each with its forms."""

from __future__ import annotations

TABLES = {
    "hero": """
        name | sex | kid
        Mia | f | girl
        Tom | m | boy
        Hazel | f | rabbit
        Ben | m | boy
        Lily | f | girl
        Otto | m | hedgehog
        Nora | f | girl
        Max | m | boy
        Ella | f | girl
        Pip | m | mouse
        Leo | m | boy
        Clara | f | girl
        Sam | m | boy
        Tilly | f | duck
        Ruby | f | girl
        Finn | m | boy
        Bruno | m | bear
        Zoe | f | girl
        Noah | m | boy
        Ivy | f | girl
        Fern | f | deer
        Jack | m | boy
        Maya | f | girl
        Emil | m | boy
        Dusty | m | donkey
        Alma | f | girl
        Hugo | m | boy
        Lucy | f | girl
        Karl | m | boy
        Pearl | f | otter
        Rosa | f | girl
        Nico | m | boy
    """,
    "nature": """
        nature | moral
        brave | it is good to be brave when someone needs you
        kind | a kind heart is never alone
        curious | those who ask find the way
        shy | even a quiet voice can be heard
        merry | a song makes every road shorter
        clever | a good idea is better than strong arms
        sleepy | there is time enough for everything
    """,
    "home": """
        where | near | sight
        in a small village by the sea | the harbour | the white sails
        at the edge of a big forest | the wood path | the tall dark trees
        in a house on a hill | the garden gate | the clouds in the valley
        in a red house with a crooked chimney | the kitchen door | the smoke over the roof
        on a farm with a hundred apple trees | the barn | the yellow fields
        in a narrow street behind the market | the well | the roofs of the town
        beside a river with a stone bridge | the bridge | the slow green water
        under the roots of an old oak | the mossy stairs | the ferns and mushrooms
        high up in the mountains | the goat track | the snow on the peaks
        in a boat that never sailed | the wet ropes | the gulls over the mast
    """,
    "pal": """
        name | sex | kind | noise | snack | move | rest
        Biscuit | m | dog | barked | bone | ran ahead with his nose to the ground | under the table
        Mitten | f | cat | purred | saucer of milk | walked on her soft white paws | on the \
        windowsill
        Clover | f | goat | bleated | bunch of clover | jumped from stone to stone | in the straw
        Captain | m | parrot | screeched | handful of seeds | flew from branch to branch | on a \
        perch
        Button | m | hamster | squeaked | slice of carrot | sat deep in a warm pocket | in a box
        Shadow | m | raven | croaked | crust of bread | circled above the path | on the chimney
        Pebble | f | turtle | hummed | leaf of lettuce | came slowly behind | in her shell
        Ginger | f | pony | snorted | red apple | trotted along | in the stable
        Bubbles | m | frog | croaked loudly | fat fly | hopped through every puddle | in the pond
        Socks | m | kitten | mewed | bit of fish | chased every leaf | in a basket
        Daisy | f | lamb | cried softly | tuft of grass | skipped in circles | near the fire
    """,
    "weather": """
        day | now | later
        sunny | The sun was shining and the air was warm | The sun went down red behind the hills
        rainy | The rain was drumming on the roofs | The rain had stopped and the leaves were \
        dripping
        windy | The wind was pulling at hats and doors | The wind had fallen asleep in the trees
        snowy | Snow lay on everything like sugar | The snow shone blue in the moonlight
        foggy | The fog was as thick as soup | The fog had lifted and the first star came out
        frosty | There was ice on all the puddles | The ice on the window looked like flowers
        stormy | Black clouds were racing over the sky | Far away the last thunder rumbled
    """,
    "thing": """
        thing | use | look
        red kite | fly it on the hill | its long tail
        silver key | open the old chest | its tiny teeth
        wooden boat | sail it on the pond | its white sail
        blue scarf | keep warm in winter | its soft wool
        music box | listen to it in bed | its golden lid
        round drum | play it in the parade | its bright ribbons
        lantern | find the way at night | its yellow glow
        toy train | drive it around the room | its black wheels
        straw hat | wear it at the fair | its wide brim
        glass marble | roll it down the lane | its green swirl
        little flute | play for the birds | its six holes
        picture book | read it again and again | its torn cover
        brass bell | ring it at noon | its clear voice
        warm blanket | sleep under it | its many patches
        paint box | paint the whole wall | its twelve colours
        spinning top | make it dance | its striped belly
    """,
    "helper": """
        who | sex | work | pay
        baker | m | carry the flour sacks | a warm bun
        fisherman | m | mend the nets | a shell that sounded like the sea
        miller | m | sweep the mill | a bag of barley
        old woman | f | pick the plums | a jar of plum jam
        shepherd | m | count the sheep | a ball of wool
        postwoman | f | sort the letters | a stamp with a ship on it
        gardener | m | water the beans | a yellow rose
        clockmaker | m | find a lost screw | a tiny cogwheel
        painter | f | wash the brushes | a stick of chalk
        blacksmith | m | pump the bellows | a lucky horseshoe
        beekeeper | f | paint the hives | a spoon of honey
        ferryman | m | pull the rope | a free ride
    """,
    "creature": """
        creature | trouble | cure | gift
        fox | had a thorn in its paw | pulled out the thorn | a red tail hair
        owl | could not open its left eye | washed the eye with dew | a brown feather
        hare | was caught in a fence | bent the wire apart | a four-leaved clover
        snail | had fallen on its back | turned it over | a silver thread
        squirrel | had forgotten where its nuts were | dug under the hazel bush | a nut
        badger | had a stone before its den | rolled the stone away | a smooth pebble
        sparrow | had a broken wing | bound the wing with a ribbon | a song
        mole | had lost its glasses | found them in the grass | a clump of gold
        swan | was frozen to the ice | breathed on the ice until it melted | a white feather
        beetle | could not get out of a bottle | tipped the bottle over | a drop of amber
        toad | was sad because nobody greeted it | bowed and said good day | a wise word
        heron | had a knot in its neck | told it to look the other way | a long reed
    """,
    "number": """
        number | count
        three | One, two, three
        two | One, two
        five | One, two, three, four, five
        four | One, two, three, four
        seven | One, two, three, four, five, six, seven
        six | One, two, three, four, five, six
    """,
    "spot": """
        spot
        behind the old mill
        under the bridge
        in the hollow tree
        on top of the haystack
        between the roots
        in the crow's nest
        next to the well
        at the bottom of the boat
        inside the church tower
        among the sunflowers
        below the waterfall
        in front of the bakery
        near the beehives
        on the garden wall
        over the stable door
        in the third drawer
    """,
}
