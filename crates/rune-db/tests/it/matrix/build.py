"""Builds the world of a case: databases with rows, and the trouble around them."""

import shutil
from random import Random

import files
from cases import Case
from environments_file import mount
from program import Run
from promises import ulp
from rows import Draw, Rows
from servers import Database
from tables import ARTIFACTS, CHAINS, EVENTS, JOBS, SETTINGS, TABLES
from verbs import FILLS
from world import Equipment, File, Place, World, new_directory

PRAGMAS = [[], [], ["journal_mode=wal"], ["page_size=1024"], ["page_size=8192"], ["auto_vacuum=full"], ["journal_mode=persist"]]


def build(case: Case, equipment: Equipment, earlier_kill: int | None = None) -> World:
    verb, environment = case.parts
    rng = Random(f"{case.seed} {case.environment}")
    directory = new_directory(equipment)
    undo = [mount(directory / environment.place)] if environment.place else []
    layout, encoding = rng.choice(environment.layouts), rng.choice(environment.encodings)
    is_source_file = environment.engine == "file" or verb.name in FILLS
    source_layout = layout if environment.engine == "file" or not is_source_file else "ours"
    rows = _rows(case, source_layout, encoding or "UTF8", is_source_file, environment.is_hard)
    place = f"{environment.place}/" if environment.place else ""
    subject: Place
    if is_source_file:
        subject = File(directory / f"{place}jobs.db")
        files.make(subject.path, source_layout, rows, equipment.file_template, rng.choice(PRAGMAS))
    else:
        subject = _database(equipment, layout, encoding)
        subject.fill(rows)
    run = Run(equipment.program, directory)
    world = World(equipment, rng, directory, run, verb.name, environment.engine, subject, output=f"{place}out.db", undo=undo)
    world.keep = None if case.keep is None else set(case.keep)
    world.facts |= {"layout": layout, "encoding": encoding or "UTF8"}
    world.target = _second(world, case, encoding)
    world.earlier_kill = earlier_kill
    can_dump = equipment.server is not None and equipment.server.can_dump
    world.is_dumped = not environment.kills and rng.random() < 0.2 and can_dump
    environment.apply(world)
    if verb.name == "migrate-to-postgres" and "writer" in environment.name:
        world.uses_live_source = rng.random() < 0.7
    return world


def _rows(case: Case, layout: str, encoding: str, is_file: bool, is_hard: bool) -> Rows:
    rng = Random(f"{case.seed} rows")
    hard = is_hard and not is_file and rng.random() < 0.25
    rows = Draw(rng, is_float4=layout in ("B", "mixed") and not is_file, is_hard=hard, encoding=encoding).rows(case.rows)
    # Some rows in every table, unless the case is made smaller: most of what goes wrong needs one.
    while case.rows > 4 and case.tables is None and not all(rows[table.name] for table in (JOBS, EVENTS, SETTINGS, ARTIFACTS)):
        rows = Draw(rng, is_float4=layout in ("B", "mixed") and not is_file, is_hard=hard, encoding=encoding).rows(case.rows)
    if case.tables is not None:
        rows = {name: found if name in case.tables else [] for name, found in rows.items()}
    if not is_file and layout == "A" or is_file and layout in ("A", "L5"):
        rows[SETTINGS.name] = []
    if is_file and layout in ("L3", "part"):
        rows |= {CHAINS.name: [], ARTIFACTS.name: [], SETTINGS.name: []}
    return rows


def _database(equipment: Equipment, layout: str, encoding: str | None) -> Database:
    assert equipment.server
    database = equipment.server.database(encoding)
    database.lay_out(layout)
    return database


def _second(world: World, case: Case, encoding: str | None) -> Place | None:
    """The target of what fills an empty database, or the other side of a comparison."""
    rng, equipment = world.rng, world.equipment
    if case.verb == "migrate-to-postgres" or (case.verb == "restore" and world.engine == "server"):
        assert equipment.server
        # Some troubles need tables to be there.
        if encoding is None and (world.engine == "server" or rng.random() < 0.5):
            return _database(equipment, "ours", None)
        return equipment.server.database(encoding)
    if case.verb == "restore":
        target = File(world.file(world.output).with_name("new.db"))
        if rng.random() < 0.4:
            shutil.copyfile(equipment.file_template, target.path)
        return target
    return _copy(world) if case.verb == "compare" else None


def _copy(world: World) -> Place:
    """The same rows in another database, or nearly the same."""
    rng = world.rng
    rows = world.subject.rows()
    if rng.random() < 0.6:
        world.ingredients.append(_change(rows, rng))
    if isinstance(world.subject, Database) and rng.random() < 0.4:
        copy = _database(world.equipment, "ours", None)
        copy.fill(rows)
        return copy
    other = File(world.file("other.db"))
    files.make(other.path, "ours", rows, world.equipment.file_template, [])
    return other


def _change(rows: Rows, rng: Random) -> str:
    """Changes one row by as little as possible; says what."""
    full = [table for table in TABLES if rows[table.name]]
    if not full:
        return "no change"
    table = rng.choice(full)
    found = rows[table.name]
    position = rng.randrange(len(found))
    row = list(found[position])
    if rng.random() < 0.3:
        del found[position]
        return f"a row of {table.name} is missing"
    column = rng.choice([column for column in table.columns if column.name not in table.key])
    at = table.at(column.name)
    value = row[at]
    if isinstance(value, float):
        row[at] = ulp(value)
    elif isinstance(value, str):
        row[at] = value + " "
    elif value is None:
        row[at] = 0.0 if column.kind == "float" else ""
    elif isinstance(value, bytes):
        row[at] = value + b"\0"
    else:
        row[at] = value + 1
    found[position] = tuple(row)
    return f"{table.name}.{column.name} differs in a row"

