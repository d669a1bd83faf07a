"""How a story goes: its plots and sentences (`notation.py` says how to read them)."""

from __future__ import annotations

RULES = """
story
    6 | [opening] [friend]¶[lost]
    5 | [opening] [friend]¶[want]
    4 | [opening] [friend]¶[gone]

opening
    Once upon a time, {nature.a=} little someone called {hero=} lived {home=}. [habit]
    {hero=} was {nature.a=} little {hero.kid} who lived {home=}. [habit]
    Far away, {home=}, lived {hero=}, {nature.a=} little {hero.kid}. [habit]
    This is the story of {hero=}, {nature.a=} little {hero.kid}. {hero.They} lived {home=}. [habit]
    Do you know {hero=}? {hero.They} is a {hero.kid}, small and {nature=}, and lives {home=}. \
        [habit]

habit
    2 brave=9 | {hero} liked to climb higher than anyone else.
    2 kind=9 | Every morning {hero.they} fed the birds before breakfast.
    2 curious=9 | All day long {hero.they} asked one question after another.
    2 shy=9 | When guests came, {hero.they} hid behind the door.
    2 merry=9 | People knew {hero.them} by {hero.their} songs.
    2 clever=9 | With a bit of string {hero.they} could mend anything.
    2 sleepy=9 | In the mornings nobody could get {hero.them} out of bed.
    1 | From the window {hero.they} could see {home.sight}.

friend
    {hero.Their} best friend was {pal=}, a [size] {pal.kind}.
    With {hero.them} lived a [size] {pal.kind=}. [called]
    Wherever {hero.they} went, {pal=} the {pal.kind} went too, and {pal} {pal.move}.
    The two of them were never apart, {hero} and {pal=} the {pal.kind}.

called
    {pal.They} was called {pal} and loved nothing more than a {pal.snack}.
    The name of the {pal.kind} was {pal}, and at night {pal.they} slept {pal.rest}.

size
    small
    big
    fat
    funny
    very old
    gentle
    cheeky
    spotted

lost
    One {weather=} [time], {hero} could not find {hero.their} {thing=}. {weather.now}. [sad] \
        [search]
    On a {weather=} [time], {hero.their} {thing=} was gone. {weather.now}. [sad] [search]
    It was a {weather=} [time] when {hero} lost {hero.their} {thing=}. {weather.now}. [sad] [search]

time
    morning
    day
    afternoon
    Sunday
    winter day
    market day

sad
    1 shy=5 sleepy=3 | {hero} sat down and cried.
    2 brave=6 clever=4 | "I will find it," said {hero}. "I remember {thing.look}."
    1 curious=7 | "Where can it be?" {hero.they} asked. "Who has seen {thing.look}?"
    1 kind=6 | "I hope nobody is cold or sad because of it," {hero.they} thought.
    1 merry=7 | But {hero.they} only laughed. "It has gone for a walk!"

search
    [way] [episode]¶[search on]

search on
    3 | [way] [episode]¶[search on]
    7 | At last {hero.they} met {helper.a=}. "Is it a {thing}?" asked {helper.the}. [hint] [found]

hint
    "I saw one {spot=}."
    "Then look {spot=}!"
    "A magpie dropped something {spot=}."
    "The children were playing with it {spot=}."
    "My grandfather always searched {spot=} first."

found
    And there, {spot}, was {thing.the}! Now {hero.they} could {thing.use} again.¶[end]
    They ran as fast as they could, and {spot} {hero} saw {thing.look}. It was {thing.the}!¶[end]
    {pal} {pal.noise} and ran ahead, and {spot} lay {thing.the}.¶[end]

want
    More than anything, {hero} wanted a {thing=} to {thing.use}. [way] [episode]¶[want on]
    {hero} dreamed of a {thing=}. Every night {hero.they} saw {thing.look}. [way] \
        [episode]¶[want on]

want on
    2 | [way] [episode]¶[want on]
    7 | One {weather=} [time] {hero.they} met {helper.a=}. {weather.now}. [task] [reward]

task
    "Who will help me to {helper.work}?" asked {helper.the}.
    "I am too tired to {helper.work}," said {helper.the}.
    {helper.The} wanted to {helper.work}, but [hindrance].

hindrance
    it was too much for one
    {helper.they} had hurt {helper.their} hand
    night was near
    there was no one to help

reward
    5 kind=20 brave=9 sleepy=2 | {hero} helped {helper.them} at once. [paid]
    3 shy=9 sleepy=9 | {hero} waited a little, and then {hero.they} helped {helper.them}. [paid]
    2 clever=12 | {hero} knew a trick, and the work was done before noon. [paid]
    2 merry=12 curious=5 | They sang and talked, and the work went by itself. [paid]

paid
    {helper.The} gave {hero.them} {helper.pay}, and under it lay a {thing}!¶[end]
    For that {hero.they} got {helper.pay}, and also a {thing} to {thing.use}.¶[end]
    "Take this," said {helper.the}, and it was a {thing}. Oh, {thing.look}!¶[end]

gone
    But one {weather=} [time] {pal} did not come home. {weather.now}. [worry] [alone]
    But then, on a {weather=} [time], there was no {pal} {pal.rest}. {weather.now}. [worry] [alone]

worry
    {hero} put a {pal.snack} before the door and waited, but no one {pal.noise}.
    {hero.They} called and called, but no {pal.kind} answered.
    "{pal}! {pal}!" cried {hero}. "I have a {pal.snack} for you!"

alone
    [road] [adventure]¶[alone on]

alone on
    2 | [road] [adventure]¶[alone on]
    7 | Then something {pal.noise} {spot=}. [back]

back
    It was {pal}! {pal.They} had found [number things], and {pal.they} did not want to leave \
        them.¶[end]
    "{pal}!" cried {hero}, and {spot} sat the {pal.kind} and ate a {pal.snack}.¶[end]
    {hero.They} ran, and there was {pal}, safe and dry. {pal.They} {pal.move} all the way \
        home.¶[end]

number things
    {number=} [things]

things
    [colour] eggs
    [colour] berries
    young mice
    [colour] ribbons
    old boots
    [colour] feathers

colour
    blue
    red
    white
    golden
    green
    speckled

way
    So {hero} went [path], and {pal} {pal.move}.
    First they walked [path][sight]
    Then {hero} and {pal} went [path][sight]
    Soon they came [path][sight]
    After a while the way led [path][sight]

road
    So {hero} went [path], all alone.
    {hero.They} walked [path][sight]
    Next, {hero} came [path][sight]
    Soon the way led [path][sight]

path
    over the bridge
    along the river
    past {home.near}
    through the tall grass
    up the steep hill
    across the market
    down to the water
    into the dark wood
    around the lake
    between the stone walls

sight
    2 | .
    5 | , where [quality] [people] [did].
    2 | , and it smelled of [food].

quality
    young
    noisy
    old
    hungry
    cheerful
    lazy
    strange
    tall
    wet
    grumpy
    polite
    proud
    tiny
    brown
    lonely

people
    geese
    children
    cows
    sailors
    frogs
    farmers
    ants
    musicians
    pigs
    hens
    swallows
    soldiers
    sheep
    dancers
    monkeys
    tailors
    bees
    giants
    kings
    cooks

did
    were eating [food]
    were selling [food] and [food]
    slept in the shade
    argued about [food]
    were looking for [number things]
    played cards
    sang about [food]
    were washing their [belongings]
    danced in a ring
    mended their [belongings]

food
    plums
    bread
    cheese
    soup
    honey cakes
    cherries
    potatoes
    fish
    pancakes
    nuts
    peas
    pumpkins
    sausages
    pears
    porridge
    mustard
    ginger biscuits
    onions

belongings
    shirts
    boots
    hats
    tails
    boats
    fiddles
    umbrellas
    baskets

episode
    7 | [adventure]
    3 | In {hero.their} bag {hero} had [food], [food] and [food]. {pal} wanted only the [food].
    2 | They played at being [people], and {pal} was the [quality] one.
    3 | {hero} was hungry and shared a {pal.snack} with {pal}. {pal} {pal.noise} and wanted more.
    2 | {pal} stopped and {pal.noise}. [things seen]

things seen
    In the grass lay {number=} [things]. "{number.count}!" counted {hero}.
    {number.Number=} [things] lay there. "{number.count}," {hero.they} said, and took all {number}.

adventure
    There sat {creature.a=} that {creature.trouble}. [help]
    "Help!" cried {creature.a=}. It {creature.trouble}. [help]
    A voice said, "Please, wait!" It was {creature.a=} that {creature.trouble}. [help]
    It grew dark, and something rustled. [fear]
    {number.Number=} roads met there. "{number.count}," counted {hero}. [which]

help
    6 kind=30 brave=9 | {hero} {creature.cure}. [thanks]
    2 shy=9 sleepy=5 | Very slowly {hero} came near and {creature.cure}. [thanks]
    2 clever=12 curious=9 | {hero} looked at it from all sides. Then {hero.they} \
        {creature.cure}. [thanks]
    2 merry=9 | "That is nothing," laughed {hero}, and {creature.cure}. [thanks]
    1 kind=0.1 sleepy=4 | But {hero.they} had no time, and {creature.the} looked after {hero.them}.

thanks
    {creature.The} thanked {hero.them} and gave {hero.them} {creature.gift}.
    "Thank you, {hero}," said {creature.the}. "Here is {creature.gift} for you."
    For that {hero.they} got {creature.gift} from {creature.the}.

fear
    1 brave=12 | {hero} went straight to it. It was only {creature.a=}.
    2 shy=14 | {hero} held {hero.their} breath until it was quiet again.
    1 curious=12 clever=6 | "What are you?" asked {hero}. "I am {creature.a=}," it said.
    1 merry=12 | So {hero.they} whistled, and {creature.a=} whistled back.
    1 kind=9 sleepy=6 | "Good night, whoever you are," said {hero} softly.

which
    3 clever=9 | {hero.They} took the one with the fresh footprints.
    3 curious=7 | {hero.They} tried all {number}, one after the other.
    2 sleepy=9 | {hero.They} lay down and slept until a dream told {hero.them} the way.
    2 brave=9 | {hero.They} chose the darkest of the {number}.

end
    [evening] [last]

evening
    That night {hero} fell asleep at once, and {pal} lay {pal.rest}.
    In the evening they all sat near {home.near}, and {pal} got a {pal.snack}.
    {weather.later}, and {hero} slept while {pal} lay {pal.rest}.
    When {hero} came home, {hero.they} looked at {home.sight} and was [glad].

glad
    happy
    tired but happy
    proud
    full of joy
    not afraid any more

last
    And {hero} knew: {nature.moral}.
    Since then they say {home}: {nature.moral}.
    The end.
    Good night, {hero}! Good night, {pal}!
    "You see," {hero.they} said to {pal}, "{nature.moral}."
"""
