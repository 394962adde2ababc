from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('payments', '0007_events_by_type'),
    ]

    operations = [
        migrations.AddField(
            model_name='refundrequest',
            name='payment_intent_id',
            field=models.CharField(blank=True, db_default='', help_text='The intent that is refunded.', max_length=255, verbose_name='payment intent'),
        ),
        migrations.AddField(
            model_name='refundrequest',
            name='stripe_params',
            field=models.JSONField(blank=True, help_text='What Stripe is asked for, frozen so that a retry is the same request.', null=True),
        ),
        # The version before writes the column still: the next one drops it.
        migrations.SeparateDatabaseAndState(
            state_operations=[migrations.RemoveField(model_name='refundrequest', name='handed_out')],
        ),
    ]
