from django.db import migrations, models

from payments.migration_operations import AddIndexUnlocked


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('payments', '0005_refund_attempts'),
    ]

    operations = [
        AddIndexUnlocked(
            model_name='payment',
            index=models.Index(fields=['currency', '-created_at'], name='payment_by_currency'),
        ),
    ]
