"""Rows of a model, read and written at a tenth of what Django's own statements take to be built.

What is written is one parameter, in JSON, and the database unpacks it into columns of their types. Django adapts it
value by value, and builds the text of each statement anew.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar

import orjson
from django.db import connection
from django.db.models import AutoField, JSONField, Model

from bulk.execution import execute

_M = TypeVar("_M", bound=Model)
Statement = tuple[str, str]
"""Its text, and its one parameter."""


def lock(model: type[_M], keys: Iterable[Any], *, fields: tuple[str, ...]) -> list[_M]:
    """Return the rows with these primary keys, locked until the commit and in the order of their keys.

    Only these fields are read, beside the key; Django reads others when they are asked for.
    """
    # Django takes values in the order of the model's definition.
    names = tuple(f.attname for f in model._meta.concrete_fields if f.primary_key or f.name in fields)
    rows = execute(_lock_text(model, names), values_of(model, "id", keys))
    return [model.from_db(connection.alias, names, row) for row in _converted(model, names)(rows)]


def among(model: type[Model], name: str) -> str:
    """Return the condition that a field has one of the values of a parameter, which `values_of` makes."""
    field: Any = model._meta.get_field(name)
    if connection.vendor == "postgresql":
        values = f"SELECT value::{field.db_type(connection)} FROM json_array_elements_text(%s) AS value"
        return f"{field.column} = ANY (ARRAY({values}))"
    return f"{field.column} IN (SELECT value FROM json_each(%s))"


def values_of(model: type[Model], name: str, values: Iterable[Any]) -> str:
    """Return values of a field as a parameter."""
    field: Any = model._meta.get_field(name)
    return orjson.dumps([field.get_db_prep_value(value, connection) for value in values]).decode()


def insert_new(rows: Sequence[Model], *, key: str) -> list[Any]:
    """Insert rows of one model and set their primary keys, but leave out those whose `key` is there already.

    `key` is a unique field. Returns the keys of the rows that were left out.
    """
    text, parameter = inserting(rows)
    made = dict(execute(f"{text} ON CONFLICT ({key}) DO NOTHING RETURNING {key}, id", parameter))
    for row in rows:
        pk = made.get(getattr(row, key))
        row.pk = None if pk is None else int(pk)
    return [getattr(row, key) for row in rows if row.pk is None]


def inserting(rows: Sequence[Model], *, on_conflict: str = "") -> Statement:
    """Return what inserts rows of one model. Their primary keys are not set.

    `on_conflict`: the clause that says what becomes of rows that are there already.
    """
    model = type(rows[0])
    return f"{_insert_text(model)} {on_conflict}".rstrip(), _told(rows, _inserted(model))


def updating(rows: Sequence[Model], fields: tuple[str, ...]) -> Statement:
    """Return what writes these fields of rows of one model, which are there."""
    model = type(rows[0])
    written = [model._meta.get_field(name) for name in ("id", *fields)]
    return _update_text(model, fields), _told(rows, written)


def write(*statements: Statement) -> None:
    """Execute statements that do not depend on each other; on PostgreSQL in one round trip."""
    if connection.vendor == "postgresql":
        *others, (last, _) = statements
        parts = ", ".join(f"part_{number} AS ({text})" for number, (text, _) in enumerate(others))
        execute(f"WITH {parts} {last}" if parts else last, *(parameter for _, parameter in statements))
    else:
        for text, parameter in statements:
            execute(text, parameter)


def _told(rows: Sequence[Model], fields: Sequence[Any]) -> str:
    """Return the values of these fields as JSON. PostgreSQL makes dates and UUIDs of text itself."""
    columns = [field.column for field in fields]
    values = attrgetter(*(field.attname for field in fields))
    for field in fields:
        if getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False):
            for row in rows:
                field.pre_save(row, row._state.adding)
    if connection.vendor == "postgresql":
        told = [dict(zip(columns, values(row), strict=True)) for row in rows]
    else:
        told = [
            {
                field.column: field.get_db_prep_save(value, connection)
                for field, value in zip(fields, values(row), strict=True)
            }
            for row in rows
        ]
    return orjson.dumps(told).decode()


@cache
def _converted(
    model: type[Model], names: tuple[str, ...]
) -> Callable[[list[tuple[Any, ...]]], Iterable[Any]]:
    """Return what makes Python's values of rows."""
    fields: list[Any] = [model._meta.get_field(name) for name in names]
    if connection.vendor == "postgresql":
        of_text = [_of_text(field) for field in fields]
        return lambda rows: (
            [value if value is None else convert(value) for convert, value in zip(of_text, row, strict=True)]
            for row in rows
        )
    compiler = model._default_manager.all().query.get_compiler(connection=connection)
    converters = compiler.get_converters([field.get_col(model._meta.db_table) for field in fields])
    return lambda rows: compiler.apply_converters(rows, converters)


def _of_text(field: Any) -> Callable[[str], Any]:
    return orjson.loads if isinstance(field, JSONField) else field.to_python


@cache
def _lock_text(model: type[Model], names: tuple[str, ...]) -> str:
    columns = _names([model._meta.get_field(name) for name in names])
    text = f"SELECT {columns} FROM {model._meta.db_table} WHERE {among(model, 'id')} ORDER BY id"
    return f"{text} FOR UPDATE" if connection.features.has_select_for_update else text


@cache
def _inserted(model: type[Model]) -> list[Any]:
    """Return the fields that are written; to those that Python has no value for the database gives it."""
    return [
        field
        for field in model._meta.concrete_fields
        if not isinstance(field, AutoField) and (field.has_default() or not field.has_db_default())
    ]


@cache
def _insert_text(model: type[Model]) -> str:
    fields = _inserted(model)
    table, names, told = model._meta.db_table, _names(fields), _rows(model, fields)
    return f"INSERT INTO {table} ({names}) SELECT {names} FROM {told} WHERE true"


@cache
def _update_text(model: type[Model], fields: tuple[str, ...]) -> str:
    table = model._meta.db_table
    written: list[Any] = [model._meta.get_field(name) for name in fields]
    changes = ", ".join(f"{field.column} = told.{field.column}" for field in written)
    told = _rows(model, [model._meta.get_field("id"), *written])
    among = (
        "= ANY (ARRAY(SELECT id FROM told))"
        if connection.vendor == "postgresql"
        else "IN (SELECT id FROM told)"
    )
    # Of a function PostgreSQL expects 100 rows, and reads a whole table for so many. Of a list it expects few.
    return (
        f"WITH told AS (SELECT * FROM {told}) UPDATE {table} SET {changes} FROM told"
        f" WHERE {table}.id = told.id AND {table}.id {among}"
    )


def _rows(model: type[Model], fields: Sequence[Any]) -> str:
    """Return the parameter as a table `told` with these columns."""
    if connection.vendor == "postgresql":
        return f"json_populate_recordset(NULL::{model._meta.db_table}, %s) AS told"
    columns = ", ".join(f"json_extract(value, '$.{field.column}') AS {field.column}" for field in fields)
    return f"(SELECT {columns} FROM json_each(%s)) AS told"


def _names(fields: Sequence[Any]) -> str:
    return ", ".join(field.column for field in fields)
