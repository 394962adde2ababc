from django.db import migrations, models

from payments.migration_operations import AddIndexUnlocked


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('payments', '0006_payments_by_currency'),
    ]

    operations = [
        AddIndexUnlocked(
            model_name='webhookevent',
            index=models.Index(fields=['type'], name='event_by_type', opclasses=['varchar_pattern_ops']),
        ),
    ]
