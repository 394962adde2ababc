import django.db.models.deletion
from django.db import migrations, models


def count_in_sums(apps, schema_editor):
    """Turn facts that were keyed by sums and words into those that are counted by payment intent."""
    Payment = apps.get_model('payments', 'Payment')
    Intent = apps.get_model('payments', 'Intent')
    changed = []
    for payment in Payment.objects.exclude(facts={}).iterator(chunk_size=500):
        intent = payment.payment_intent_id or ''
        facts = payment.facts
        if paid := facts.get('paid'):
            facts['paid'] = {intent: paid}
        if 'completed_unpaid' in facts:
            facts['completed_unpaid'] = {intent: facts['completed_unpaid']}
        if 'refunded_at_least' in facts:
            facts['refunded_at_least'] = {intent: facts['refunded_at_least']}
        for refund in facts.get('refunds', {}).values():
            refund |= {'intent': intent, 'at': 0}
        for dispute_id, status in facts.get('disputes', {}).items():
            facts['disputes'][dispute_id] = {
                'at': 0, 'intent': intent, 'amount': payment.amount, 'currency': payment.currency, 'status': status,
                'reason': '', 'due_by': 0, 'case_type': '', 'moved': 0, 'movements': {},
            }
        for charge, state in facts.pop('attempts', {}).items():
            facts.setdefault(state, {})[charge] = 0
        changed.append(payment)
    Payment.objects.bulk_update(changed, ['facts'], batch_size=500)
    Intent.objects.bulk_create(
        [Intent(intent_id=p.payment_intent_id, payment=p) for p in changed if p.payment_intent_id],
        batch_size=500, ignore_conflicts=True,
    )


class Migration(migrations.Migration):

    dependencies = [
        ('payments', '0008_frozen_refunds'),
    ]

    operations = [
        migrations.CreateModel(
            name='Intent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('intent_id', models.CharField(max_length=255, unique=True, verbose_name='payment intent')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'ordering': ['id'],
            },
        ),
        migrations.AddField(
            model_name='payment',
            name='attention',
            field=models.CharField(blank=True, db_default='', default='', help_text='Why a person should look at it, by words of `Attention`.', max_length=200),
        ),
        migrations.AddField(
            model_name='webhookevent',
            name='reason',
            field=models.CharField(blank=True, choices=[('type', 'says nothing about a payment'), ('account', 'of another account'), ('livemode', 'of another mode'), ('api_version', 'in a version that is not read'), ('unreadable', 'not as Stripe describes it'), ('not_ours', 'of another integration'), ('foreign_session', 'of a session that we did not make'), ('other_session', 'of a session that was not handed out'), ('other_payment', 'names another payment than it belongs to'), ('impossible_sum', 'names an impossible sum'), ('unmatched', 'no payment became known'), ('error', 'could not be written')], db_default='', default='', max_length=20),
        ),
        migrations.AlterField(
            model_name='payment',
            name='payment_intent_id',
            field=models.CharField(blank=True, help_text='The one that paid first, or was first heard of; all are among its intents.', max_length=255, null=True, verbose_name='payment intent'),
        ),
        migrations.AlterField(
            model_name='webhookevent',
            name='body',
            field=models.TextField(help_text='What is kept of the verified body.'),
        ),
        migrations.AlterField(
            model_name='webhookevent',
            name='api_version',
            field=models.CharField(blank=True, max_length=255),
        ),
        migrations.AddField(
            model_name='intent',
            name='payment',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='intents', to='payments.payment'),
        ),
        migrations.RunPython(count_in_sums, migrations.RunPython.noop),
    ]
