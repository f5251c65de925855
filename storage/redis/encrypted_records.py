"""The records of messages as a store keeps them: those of some queues encrypted (storage.encryption).

An encrypted record: flags with ENCRYPTED (1 byte), ttl (4) and client (16) as in any record (records.py),
then what `Keyring.encrypt` makes of all that would follow: checksum, origin and body. The flags and the
client are authenticated with it. The ttl is not: deliver.lua may shorten it. Scripts read the key's id
(leasing.lua).

Whether a record is encrypted is told by itself, so a queue may have both kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from protocol.identifiers import format_id
from storage.encryption import Keyring
from storage.errors import EncryptionKeyMissing, MessageUnreadable
from storage.records import Message, NewMessage, Queue, Waiting
from storage.redis.records import (
    HEAD_BYTES,
    pack_message,
    unpack_message,
    unpack_messages,
    unpack_waiting,
)

ENCRYPTED = 8
"""The highest of a record's flags: whoever has it is at least as large."""

_CLIENT = slice(5, HEAD_BYTES)

OnUnreadable = Callable[[Queue, str, MessageUnreadable], None]
"""Is told the queue, the message's id (empty: of several) and why it cannot be read."""


def is_encrypted(record: bytes) -> bool:
    """Whether a record is encrypted."""
    return record[0] >= ENCRYPTED


def encrypt(record: bytes, incarnation: int, keyring: Keyring) -> bytes:
    """The record, encrypted for a queue. Raises EncryptionKeyMissing if there is no key."""
    flags = bytes([record[0] | ENCRYPTED])
    hidden = keyring.encrypt(incarnation, record[HEAD_BYTES:], flags + record[_CLIENT])
    return flags + record[1:HEAD_BYTES] + hidden


def decrypt(record: bytes, incarnation: int, keyring: Keyring) -> bytes:
    """An encrypted record of a queue as it was before. Raises EncryptionKeyMissing, MessageNotAuthentic."""
    shown = keyring.decrypt(incarnation, record[HEAD_BYTES:], record[:1] + record[_CLIENT])
    return bytes([record[0] & ~ENCRYPTED]) + record[1:HEAD_BYTES] + shown


class Records:
    """Packs the messages of a store's queues, and reads what its scripts tell of them."""

    def __init__(self, keyring: Keyring, on_unreadable: OnUnreadable) -> None:
        self.keyring = keyring
        self.on_unreadable = on_unreadable

    def pack(self, queue: Queue, message: NewMessage, client: bytes) -> bytes:
        """The record of a message to be posted. EncryptionKeyMissing if it needs a key that is not there."""
        record = pack_message(message, client)
        return encrypt(record, queue.incarnation, self.keyring) if queue.settings.encrypted else record

    def each(self, queue: Queue, now: int, told: Sequence[bytes]) -> Sequence[Message | MessageUnreadable]:
        """The messages of a script's answer (`unpack_messages`), or why one of them cannot be read."""
        if not _some_encrypted(told):
            return unpack_messages(now, told)
        read: list[Message | MessageUnreadable] = []
        for i in range(0, len(told), 4):
            sequence, record = int.from_bytes(told[i], "big"), told[i + 3]
            try:
                if is_encrypted(record):
                    record = decrypt(record, queue.incarnation, self.keyring)
            except MessageUnreadable as error:
                message_id = format_id(sequence, queue.incarnation)
                self.on_unreadable(queue, message_id, error)
                read.append(_named(error, message_id, int(told[i + 1])))
            else:
                read.append(unpack_message(now, sequence, int(told[i + 1]), told[i + 2], record))
        return read

    def readable(self, queue: Queue, now: int, told: Sequence[bytes]) -> list[Message]:
        """The messages without those that cannot be read."""
        if not _some_encrypted(told):
            return unpack_messages(now, told)
        return [message for message in self.each(queue, now, told) if isinstance(message, Message)]

    def all(self, queue: Queue, now: int, told: Sequence[bytes]) -> list[Message]:
        """The messages. Raises MessageUnreadable if one cannot be read."""
        messages, unreadable = self.up_to_unreadable(queue, now, told)
        if unreadable is not None:
            raise unreadable
        return messages

    def up_to_unreadable(
        self, queue: Queue, now: int, told: Sequence[bytes]
    ) -> tuple[list[Message], MessageUnreadable | None]:
        """The messages in front of the first that cannot be read, and why that one cannot."""
        if not _some_encrypted(told):
            return unpack_messages(now, told), None
        messages: list[Message] = []
        for message in self.each(queue, now, told):
            if isinstance(message, MessageUnreadable):
                return messages, message
            messages.append(message)
        return messages, None

    def waiting(self, queue: Queue, entry: bytes) -> Waiting:
        """A dead letter in the outbox of its queue. Its record is empty if it cannot be read."""
        waiting = unpack_waiting(entry)
        if not is_encrypted(waiting.record):
            return waiting
        try:
            record = decrypt(waiting.record, queue.incarnation, self.keyring)
        except MessageUnreadable as error:
            self.on_unreadable(queue, format_id(waiting.sequence, queue.incarnation), error)
            record = b""
        return waiting._replace(record=record, encrypted=True)

    def set_aside(self, queue: Queue) -> MessageUnreadable:
        """Messages could not be handed out: a script does not know their key among this node's."""
        error = EncryptionKeyMissing(
            "The free messages are encrypted by keys that this gateway does not have. They are kept, and "
            "handed out when the operator has put the keys back into encryption_key_file."
        )
        self.on_unreadable(queue, "", error)
        return error


def _some_encrypted(told: Sequence[bytes]) -> bool:
    for record in told[3::4]:  # noqa: SIM110  # any() takes twice as long
        if record[0] >= ENCRYPTED:
            return True
    return False


def _named(error: MessageUnreadable, message_id: str, place: int) -> MessageUnreadable:
    text = f"Message {message_id} cannot be read. {error} Marker {place} goes on behind it."
    return type(error)(text, error.key_id)
